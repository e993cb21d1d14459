/*
 * One direction of bytes between a socket and a pipe, or between two pipes.
 *
 * Owns which end is waited for. Must not know what the bytes are.
 *
 * splice(2) moves pages without a copy here. It says EAGAIN both when there is nothing to read and when
 * there is no room, so a flow waits for one of the two at a time: for bytes until EAGAIN, then for room
 * until EAGAIN. Only what is waited for is asked of poll(), because errors and hang-ups, which are
 * always reported, would wake us over and over. That is also what makes back-pressure: a source is
 * not read while its sink is full.
 */
#ifndef SOCKETD_FLOW_H
#define SOCKETD_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { FLOW_MOST = 1 << 20 };

enum { FLOW_ENDED = 0, FLOW_WAITS = -1, FLOW_BROKEN = -2 };

/* The two ends are -1 where there is no such direction any more. */
struct flow {
    int source;
    int sink;
    bool is_sink_full;
    bool is_wide; /* its pipe has been widened, or cannot be */
};

/* Move what there is and fits. Returns how much, or one of the above: the source is at its end, nothing
 * could be moved now, or the direction is broken, with errno. */
ssize_t flow_move(struct flow *flow, size_t most);

/* Return what to ask of poll() for each end. */
short flow_at_source(const struct flow *flow);
short flow_at_sink(const struct flow *flow);

/* Close an end, if it is there; it is -1 then. */
void flow_close(int *end);

#endif
