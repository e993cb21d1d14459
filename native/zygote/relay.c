/*
 * A direction ends as it would if the program had the connection itself, as far as pipes can say:
 *
 *     the client shuts its side down      the program reads the end of its input
 *     the client resets                   so it does, and its next output is SIGPIPE
 *     the client is gone for output       its next output is SIGPIPE; input is read to its end
 *     the program reads no more           nobody reads from the connection any more
 *     the program closes its output       the sending side is shut down
 */
#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static bool make_non_blocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

bool relay_open(struct relay *relay, int connection, int stdin_fd, int stdout_fd)
{
    relay->connection = connection;
    relay->input = (struct flow){.source = connection, .sink = stdin_fd};
    relay->output = (struct flow){.source = stdout_fd, .sink = connection};
    /* The program has descriptions of its own, at the other ends. */
    return make_non_blocking(connection) && make_non_blocking(stdin_fd) &&
           make_non_blocking(stdout_fd);
}

static void end_input(struct relay *relay)
{
    flow_close(&relay->input.sink);
    relay->input = (struct flow){.source = -1, .sink = -1};
}

static void end_output(struct relay *relay)
{
    flow_close(&relay->output.source);
    relay->output = (struct flow){.source = -1, .sink = -1};
}

static void carry_input(struct relay *relay)
{
    ssize_t found = flow_move(&relay->input, FLOW_MOST);

    if (found > 0 || found == FLOW_WAITS)
        return;
    /* EPIPE is the program's, which may still have something to say; all else is the client's. */
    if (found < 0 && errno != EPIPE)
        end_output(relay);
    end_input(relay);
}

static void carry_output(struct relay *relay)
{
    ssize_t found = flow_move(&relay->output, FLOW_MOST);

    if (found > 0 || found == FLOW_WAITS)
        return;
    if (found == 0)
        shutdown(relay->connection, SHUT_WR);
    end_output(relay);
}

static struct pollfd watch(int fd, short events)
{
    return (struct pollfd){.fd = events ? fd : -1, .events = events};
}

bool relay_turn(struct relay *relay, int other_fd)
{
    const short wanted_input = flow_at_source(&relay->input);
    const short wanted_output = flow_at_sink(&relay->output);
    enum { OTHER, CONNECTION, STDIN, STDOUT, ENDS };
    struct pollfd ends[ENDS] = {
        [OTHER] = watch(other_fd, POLLIN),
        [CONNECTION] = watch(relay->connection, wanted_input | wanted_output),
        [STDIN] = watch(relay->input.sink, flow_at_sink(&relay->input)),
        [STDOUT] = watch(relay->output.source, flow_at_source(&relay->output)),
    };
    short seen;

    if (poll(ends, ENDS, -1) < 0)
        return false;
    seen = ends[CONNECTION].revents; /* an error or a hang-up concerns the waiting direction */
    if (ends[STDOUT].revents || (wanted_output && seen & ~POLLIN))
        carry_output(relay);
    if (ends[STDIN].revents || (wanted_input && seen & ~POLLOUT))
        carry_input(relay);
    return ends[OTHER].revents != 0;
}

bool relay_has_sent(const struct relay *relay)
{
    return relay->output.source < 0;
}
