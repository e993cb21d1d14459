/*
 * Somebody who has been accepted while as many are served as may be, and waits for the first place that
 * becomes free.
 *
 * Owns the time that this may take, from when the client came into the listener's queue, and the wait for
 * the end of somebody who is served. Must not know who gets a place, nor what becomes of who gets none.
 */
#ifndef SOCKETD_QUEUE_H
#define SOCKETD_QUEUE_H

#include "board.h"

#include <poll.h>
#include <stdbool.h>

enum { QUEUE_WATCHED = 64 };

/* A wait. Its descriptors are those of processes. */
struct queue_watch {
    struct pollfd ended[QUEUE_WATCHED];
    size_t count;
    bool is_whole; /* nobody serves that is not among them */
};

/* Return since when a connection has waited, in monotonic nanoseconds, as the kernel says; where it says
 * nothing, as of a UNIX socket, it has just come. */
uint64_t queue_begin(int connection);

/* Begin to watch those who are served. False if it is too late to wait. Signals are to be blocked. */
bool queue_watch(struct queue_watch *watch, const struct board *board, uint64_t end_ns);

/* Wait until somebody has ended, until the time is up, or for a moment if there are too many to be
 * watched. Signals may be let through. */
void queue_wait(struct queue_watch *watch, uint64_t end_ns);

/* Give back what the wait had. Signals are to be blocked. */
void queue_leave(struct queue_watch *watch);

#endif
