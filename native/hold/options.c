/*
 * A program may prepare its connection as soon as it starts: it makes it non-blocking, or has the
 * kernel ask now and then whether the client is still there. It did that to the socket that stands
 * for the connection. What it has changed there shows beside a socket that nobody has touched.
 *
 * What only a socket of TCP or IP has cannot be set there at all; see questions.c.
 */
#include "options.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

union value {
    int number;
    struct linger linger;
    struct timeval time;
};

struct option {
    int name;
    socklen_t size;
    union value value;
};

/* Whatever is kept for sockets of every kind, and has a use for a stream. That with a limit on reads
 * is not held, as the master sees to. */
static struct option options[] = {
    {.name = SO_KEEPALIVE, .size = sizeof(int)},
    {.name = SO_LINGER, .size = sizeof(struct linger)},
    {.name = SO_OOBINLINE, .size = sizeof(int)},
    {.name = SO_PRIORITY, .size = sizeof(int)},
    {.name = SO_RCVBUF, .size = sizeof(int)},
    {.name = SO_RCVLOWAT, .size = sizeof(int)},
    {.name = SO_SNDBUF, .size = sizeof(int)},
    {.name = SO_SNDTIMEO, .size = sizeof(struct timeval)},
};
static size_t option_count; /* of those that are set, which come first */
static int flags;           /* of the open file, that are set */

static bool get(int fd, struct option *option)
{
    socklen_t size = option->size;

    memset(&option->value, 0, sizeof option->value);
    return getsockopt(fd, SOL_SOCKET, option->name, &option->value, &size) == 0;
}

/* The kernel takes twice of what is asked for, for its own needs, and tells that. */
static void halve(struct option *option)
{
    if (option->name == SO_RCVBUF || option->name == SO_SNDBUF)
        option->value.number /= 2;
}

static void find_options(int stand_in, int untouched)
{
    option_count = 0;
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        struct option set = options[i], usual = options[i];

        if (!get(stand_in, &set) || !get(untouched, &usual) ||
            memcmp(&set.value, &usual.value, sizeof set.value) == 0)
            continue;
        halve(&set);
        options[option_count++] = set;
    }
}

const char *options_find(int stand_in)
{
    int pair[2];

    flags = fcntl(stand_in, F_GETFL);
    if (flags < 0)
        return "the state of its input is not known";
    flags &= O_NONBLOCK | O_ASYNC;
    if (flags & O_ASYNC)
        return "it wants a signal for its input (O_ASYNC), which copies would not get";
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return "no socket can be made to compare its input with";
    find_options(stand_in, pair[0]);
    close(pair[0]);
    close(pair[1]);
    return NULL;
}

/* What one kind of connection does not take, it would not have taken from the program either. */
void options_set(int connection)
{
    for (size_t i = 0; i < option_count; i++)
        setsockopt(connection, SOL_SOCKET, options[i].name, &options[i].value, options[i].size);
    if (flags)
        fcntl(connection, F_SETFL, flags);
}
