/*
 * splice(2) moves pages between a pipe and a socket without a copy here. It says EAGAIN both when
 * there is nothing to read and when there is no room, so each direction waits for one of the two
 * at a time: for bytes until EAGAIN, then for room until EAGAIN. Only what is waited for is asked
 * of poll(), because errors and hang-ups, which are always reported, would wake us over and over.
 * That is also what makes back-pressure: a source is not read while its sink is full.
 *
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

enum {
    MOST_BYTES = 1 << 20,
    USUAL_PIPE = 1 << 16,
    /* All that a user may have in pipes is limited (pipe-user-pages-soft in pipe(7)), and beyond
     * that new ones are tiny. So only who carries much gets more, and a quarter of the most that
     * there is: it was worth a fifth of the throughput of cat, and all of it a twentieth more. */
    WIDE_PIPE = 1 << 18,
};

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
    if (relay->input.sink >= 0)
        close(relay->input.sink);
    relay->input = (struct flow){.source = -1, .sink = -1};
}

static void end_output(struct relay *relay)
{
    if (relay->output.source >= 0)
        close(relay->output.source);
    relay->output = (struct flow){.source = -1, .sink = -1};
}

/* One of the two ends is the pipe's. Where it cannot be, all is as it was. */
static void widen(struct flow *flow)
{
    if (flow->is_wide)
        return;
    flow->is_wide = true;
    if (fcntl(flow->source, F_SETPIPE_SZ, WIDE_PIPE) < 0)
        fcntl(flow->sink, F_SETPIPE_SZ, WIDE_PIPE);
}

/* Move what there is and fits. Returns 1 if the direction goes on, 0 at its end, -1 when broken. */
static int carry(struct flow *flow)
{
    ssize_t moved = splice(flow->source, NULL, flow->sink, NULL, MOST_BYTES,
                           SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

    if (moved == 0)
        return 0;
    if (moved < 0 && errno != EAGAIN && errno != EINTR)
        return -1;
    if (moved > 0)
        flow->is_sink_full = false;
    else if (errno == EAGAIN)
        flow->is_sink_full = !flow->is_sink_full;
    if (moved >= USUAL_PIPE || flow->is_sink_full)
        widen(flow);
    return 1;
}

static void carry_input(struct relay *relay)
{
    int found = carry(&relay->input);

    if (found > 0)
        return;
    /* EPIPE is the program's, which may still have something to say; all else is the client's. */
    if (found < 0 && errno != EPIPE)
        end_output(relay);
    end_input(relay);
}

static void carry_output(struct relay *relay)
{
    int found = carry(&relay->output);

    if (found > 0)
        return;
    if (found == 0)
        shutdown(relay->connection, SHUT_WR);
    end_output(relay);
}

/* What to ask of poll() for one end of a direction. */
static short events_at_source(const struct flow *flow)
{
    return flow->source >= 0 && !flow->is_sink_full ? POLLIN : 0;
}

static short events_at_sink(const struct flow *flow)
{
    return flow->sink >= 0 && flow->is_sink_full ? POLLOUT : 0;
}

static struct pollfd watch(int fd, short events)
{
    return (struct pollfd){.fd = events ? fd : -1, .events = events};
}

bool relay_turn(struct relay *relay, int other_fd)
{
    const short wanted_input = events_at_source(&relay->input);
    const short wanted_output = events_at_sink(&relay->output);
    enum { OTHER, CONNECTION, STDIN, STDOUT, ENDS };
    struct pollfd ends[ENDS] = {
        [OTHER] = watch(other_fd, POLLIN),
        [CONNECTION] = watch(relay->connection, wanted_input | wanted_output),
        [STDIN] = watch(relay->input.sink, events_at_sink(&relay->input)),
        [STDOUT] = watch(relay->output.source, events_at_source(&relay->output)),
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
