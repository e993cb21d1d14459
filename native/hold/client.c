/*
 * The template itself is the client: it has nothing else to do meanwhile, and a process for it would be
 * one more that can be left behind. It neither waits for the copy to read nor for it to write, so that
 * the two cannot wait for each other, and hears of the end of the copy by a descriptor: what the copy
 * has started may keep its connection open for longer.
 *
 * How long all of it may take is the master's affair, which ends the template then.
 */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The second is much for an answer, and little to read. */
enum { PIECE_SIZE = 4096, MOST_ANSWER_BYTES = 16 << 20 };

void client_stay_away(struct client *client)
{
    *client = (struct client){.request = -1, .connection = -1, .other_end = -1, .children = -1};
}

bool client_arrive(struct client *client, int request)
{
    sigset_t ends_of_children;
    int ends[2];

    sigemptyset(&ends_of_children);
    sigaddset(&ends_of_children, SIGCHLD);
    *client = (struct client){.request = request};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return false;
    client->connection = ends[0];
    client->other_end = ends[1];
    /* sendfile() has no flag for it; the other end is one that is not concerned. */
    if (fcntl(client->connection, F_SETFL, O_NONBLOCK) < 0)
        return false;
    client->children = signalfd(-1, &ends_of_children, SFD_CLOEXEC | SFD_NONBLOCK);
    return client->children >= 0;
}

static void close_one(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void client_let_go(struct client *client)
{
    close_one(&client->request);
    close_one(&client->connection);
    close_one(&client->children);
}

static bool is_for_later(ssize_t count)
{
    return count < 0 && (errno == EAGAIN || errno == EINTR);
}

static void send_some(struct client *client)
{
    const ssize_t count = sendfile(client->connection, client->request, NULL, PIECE_SIZE);

    if (count > 0 || is_for_later(count))
        return;
    /* That was all, or nobody reads it any more. */
    shutdown(client->connection, SHUT_WR);
    close_one(&client->request);
}

static void keep_head(struct client *client, const char *piece, size_t size)
{
    const size_t room = sizeof client->head - 1;

    if (client->answer_bytes >= room)
        return;
    if (size > room - client->answer_bytes)
        size = room - client->answer_bytes;
    memcpy(client->head + client->answer_bytes, piece, size);
}

/* False if there is nothing more to be had, for now or for ever. */
static bool take_some(struct client *client)
{
    char piece[PIECE_SIZE];
    const ssize_t count = read(client->connection, piece, sizeof piece);

    if (is_for_later(count))
        return false;
    if (count <= 0) {
        client->is_answered = true;
        return false;
    }
    keep_head(client, piece, (size_t)count);
    client->answer_bytes += (size_t)count;
    if (client->answer_bytes < MOST_ANSWER_BYTES)
        return true;
    client->has_had_enough = true;
    close_one(&client->request);
    close_one(&client->connection);
    return false;
}

/* Wait for whatever comes next. */
static void wait_and_go_on(struct client *client)
{
    const short wanted = (short)((client->is_answered ? 0 : POLLIN) |
                                 (client->request < 0 ? 0 : POLLOUT));
    struct pollfd sources[] = {
        {.fd = client->children, .events = POLLIN},
        {.fd = wanted ? client->connection : -1, .events = wanted},
    };
    struct signalfd_siginfo ended;
    ssize_t ignored;

    if (poll(sources, 2, -1) < 0)
        return;
    if (sources[0].revents) {
        ignored = read(client->children, &ended, sizeof ended);
        (void)ignored;
    }
    if (sources[1].revents && client->request >= 0)
        send_some(client);
    if (sources[1].revents && !client->is_answered)
        take_some(client);
}

pid_t client_talk(struct client *client, pid_t child, int *status)
{
    const int options = WUNTRACED | __WALL | (client->children < 0 ? 0 : WNOHANG);
    long ended;

    close_one(&client->other_end);
    if (client->request < 0)
        close_one(&client->connection);
    for (;;) {
        ended = syscall(SYS_wait4, child, status, options, NULL);
        if (ended == 0)
            wait_and_go_on(client);
        else if (ended > 0 || errno != EINTR)
            break;
    }
    while (client->connection >= 0 && !client->is_answered && take_some(client))
        continue;
    client_let_go(client);
    return (pid_t)ended;
}
