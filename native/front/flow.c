#include "flow.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

enum {
    USUAL_PIPE = 1 << 16,
    /* All that a user may have in pipes is limited (pipe-user-pages-soft in pipe(7)), and beyond
     * that new ones are tiny. So only who carries much gets more, and a quarter of the most that
     * there is: it was worth a fifth of the throughput of cat, and all of it a twentieth more. */
    WIDE_PIPE = 1 << 18,
};

/* One of the two ends is the pipe's. Where it cannot be, all is as it was. */
static void widen(struct flow *flow)
{
    if (flow->is_wide)
        return;
    flow->is_wide = true;
    if (fcntl(flow->source, F_SETPIPE_SZ, WIDE_PIPE) < 0)
        fcntl(flow->sink, F_SETPIPE_SZ, WIDE_PIPE);
}

ssize_t flow_move(struct flow *flow, size_t most)
{
    ssize_t moved =
        splice(flow->source, NULL, flow->sink, NULL, most, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

    if (moved == 0)
        return FLOW_ENDED;
    if (moved < 0 && errno != EAGAIN && errno != EINTR)
        return FLOW_BROKEN;
    if (moved > 0)
        flow->is_sink_full = false;
    else if (errno == EAGAIN)
        flow->is_sink_full = !flow->is_sink_full;
    if (moved >= USUAL_PIPE || flow->is_sink_full)
        widen(flow);
    return moved > 0 ? moved : FLOW_WAITS;
}

short flow_at_source(const struct flow *flow)
{
    return flow->source >= 0 && !flow->is_sink_full ? POLLIN : 0;
}

short flow_at_sink(const struct flow *flow)
{
    return flow->sink >= 0 && flow->is_sink_full ? POLLOUT : 0;
}

void flow_close(int *end)
{
    if (*end >= 0)
        close(*end);
    *end = -1;
}
