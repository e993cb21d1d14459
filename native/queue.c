#include "queue.h"

#include "direct.h"
#include "sources.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

enum { NS_PER_MS = 1000000, MOMENT_MS = 20, LONGEST_MS = 1000 };

/* The kernel says when data was last sent, and takes the end of the handshake for that as long as none
 * was: it is when a client came into the queue. */
static uint64_t waited_ns(int connection)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;

    if (getsockopt(connection, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
        return 0;
    return (uint64_t)info.tcpi_last_data_sent * NS_PER_MS;
}

uint64_t queue_begin(int connection)
{
    const uint64_t now = direct_now_ns(), waited = waited_ns(connection);

    return waited < now ? now - waited : 0;
}

bool queue_watch(struct queue_watch *watch, const struct board *board, uint64_t end_ns)
{
    pid_t pids[QUEUE_WATCHED + 1];
    size_t count;

    watch->count = 0;
    if (direct_now_ns() >= end_ns)
        return false;
    count = sources_list(board, pids, sizeof pids / sizeof *pids);
    watch->is_whole = count <= QUEUE_WATCHED;
    for (size_t i = 0; i < count && i < QUEUE_WATCHED; i++) {
        const int fd = pids[i] > 0 ? (int)syscall(SYS_pidfd_open, pids[i], 0) : -1;

        if (fd >= 0)
            watch->ended[watch->count++] = (struct pollfd){.fd = fd, .events = POLLIN};
        else
            watch->is_whole = false;
    }
    return true;
}

void queue_wait(struct queue_watch *watch, uint64_t end_ns)
{
    const uint64_t now = direct_now_ns();
    const uint64_t left_ms = end_ns > now ? (end_ns - now) / NS_PER_MS + 1 : 0;
    /* Even where all are watched: how many there may be can change. */
    const uint64_t most_ms = watch->is_whole ? LONGEST_MS : MOMENT_MS;

    poll(watch->ended, watch->count, (int)(left_ms < most_ms ? left_ms : most_ms));
}

void queue_leave(struct queue_watch *watch)
{
    while (watch->count)
        close(watch->ended[--watch->count].fd);
}
