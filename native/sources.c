/*
 * A worker on the board may be over before the master has collected it, and its client may be back
 * before that. So where a source seems to have no room, each of its workers is looked at.
 *
 * Programs of the service's user may write to this memory. Whatever stands there is at worst a wrong
 * count of this service's own connections.
 */
#include "sources.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { IPV4_BITS = 32, IPV6_BITS = 128, MOST_EXIT_MS = 100 };

static bool change_lock(int fd, short kind)
{
    struct flock lock = {.l_type = kind, .l_whence = SEEK_SET};

    return fcntl(fd, F_SETLKW, &lock) == 0;
}

bool sources_lock(int listener_fd)
{
    return change_lock(listener_fd, F_WRLCK);
}

void sources_unlock(int listener_fd)
{
    change_lock(listener_fd, F_UNLCK);
}

static bool begin_alike(const uint8_t *one, const uint8_t *other, unsigned bits, unsigned most)
{
    const unsigned length = bits < most ? bits : most;
    const unsigned rest = length % 8;

    if (memcmp(one, other, length / 8) != 0)
        return false;
    return rest == 0 || (one[length / 8] ^ other[length / 8]) >> (8 - rest) == 0;
}

static bool is_same_source(const struct board_peer *one, struct gate_limit limit,
                           const struct peer *client)
{
    if (one->family != client->address.family)
        return false;
    switch (client->address.family) {
    case AF_INET:
        return begin_alike(one->address, client->address.bytes, limit.ipv4_bits, IPV4_BITS);
    case AF_INET6:
        return begin_alike(one->address, client->address.bytes, limit.ipv6_bits, IPV6_BITS);
    case AF_UNIX:
        return one->credentials.uid == client->credentials.uid;
    default:
        return true; /* all of whom nothing is known are one source */
    }
}

void sources_name(uint8_t name[SOURCES_NAME], struct gate_limit limit, const struct peer *client)
{
    const uint16_t family = client->address.family;
    const bool is_ipv4 = family == AF_INET;
    uint8_t *bytes = name + sizeof family;
    unsigned bits = is_ipv4 ? limit.ipv4_bits : limit.ipv6_bits;
    const unsigned most = is_ipv4 ? IPV4_BITS : IPV6_BITS;

    memset(name, 0, SOURCES_NAME);
    memcpy(name, &family, sizeof family);
    if (family == AF_UNIX) {
        memcpy(bytes, &client->credentials.uid, sizeof client->credentials.uid);
    } else if (is_ipv4 || family == AF_INET6) {
        bits = bits < most ? bits : most;
        memcpy(bytes, client->address.bytes, (bits + 7) / 8);
        if (bits % 8)
            bytes[bits / 8] &= (uint8_t)(0xFF << (8 - bits % 8));
    }
}

/* Tell whether a process is over, or as good as: the kernel closes its connection when it has taken its
 * memory, and only then can its client know. It has ended when all its threads have. */
static bool is_over(pid_t pid)
{
    char byte;
    struct iovec own = {.iov_base = &byte, .iov_len = 1};
    struct iovec nothing = {.iov_base = NULL, .iov_len = 1};
    struct pollfd ended = {.events = POLLIN};

    if (pid <= 0)
        return true;
    if (syscall(SYS_process_vm_readv, pid, &own, 1, &nothing, 1, 0) >= 0 || errno != ESRCH)
        return false;
    ended.fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (ended.fd < 0)
        return errno == ESRCH;
    if (poll(&ended, 1, MOST_EXIT_MS) <= 0)
        ended.revents = 0;
    close(ended.fd);
    return ended.revents != 0;
}

static bool is_serving(const struct board *board, uint32_t number)
{
    const uint8_t state = atomic_load_explicit(&board->states[number], memory_order_acquire);

    return state == SLOT_ACCEPTED || state == SLOT_BUSY;
}

static uint32_t slots_of(const struct board *board)
{
    const uint32_t watched = atomic_load(&board->header->watched);

    return watched < board->capacity ? watched : board->capacity;
}

/* Whom a count is about; without a client it is everybody, and who has waited since before a time. */
struct those {
    const struct peer *client;
    struct gate_limit limit;
    uint64_t before_ns;
};

static bool is_queued_before(const struct board *board, uint32_t number, uint64_t before_ns)
{
    const struct board_record *record = &board->records[number];

    return atomic_load(&board->states[number]) == SLOT_IDLE &&
           record->accepted_ns != 0 && record->accepted_ns < before_ns;
}

static bool is_one(const struct board *board, uint32_t number, const struct those *those)
{
    if (those->before_ns && is_queued_before(board, number, those->before_ns))
        return true;
    return is_serving(board, number) &&
           (!those->client ||
            is_same_source(&board->records[number].client, those->limit, those->client));
}

static bool are_fewer(const struct board *board, const struct those *those, uint64_t most)
{
    const uint32_t slots = slots_of(board);
    uint64_t count = 0, real = 0;

    for (uint32_t i = 0; i < slots && count < most; i++)
        count += is_one(board, i, those);
    if (count < most)
        return true;
    /* From the beginning: the master may have collected some of them meanwhile. */
    for (uint32_t i = 0; i < slots && real < most; i++)
        real += is_one(board, i, those) && !is_over(board->records[i].pid);
    return real < most;
}

bool sources_have_room(const struct board *board, struct gate_limit limit, const struct peer *client)
{
    const struct those those = {.client = client, .limit = limit};

    return are_fewer(board, &those, limit.most);
}

bool sources_are_full(const struct board *board, uint64_t most, uint64_t before_ns)
{
    const struct those those = {.client = NULL, .before_ns = before_ns};

    return !are_fewer(board, &those, most);
}

size_t sources_list(const struct board *board, pid_t *pids, size_t room)
{
    const uint32_t slots = slots_of(board);
    size_t count = 0;

    for (uint32_t i = 0; i < slots && count < room; i++)
        if (is_serving(board, i))
            pids[count++] = board->records[i].pid;
    return count;
}
