/*
 * A worker's place on the board, which a client takes if it may have one now.
 *
 * Owns the order in which a client is counted: with its source, with all together, and with how often
 * both come. Must not know what becomes of a client that has no place. socketd/workers/place.py does
 * the same.
 */
#ifndef SOCKETD_PLACE_H
#define SOCKETD_PLACE_H

#include "address.h"
#include "board.h"

#include <stdbool.h>

struct place {
    const struct board *board;
    uint32_t number;
    int lock_fd; /* the listener; -1 if nothing was limited when the client came */
};

/* What a client has got so far. Zeros are nothing. */
struct turn {
    enum gate_reason reason; /* why it can have no place, if that is so */
    bool is_announced;       /* the master knows of the connection by now */
    bool is_counted;         /* with its source, so that only the turn of all together is left to take */
    uint64_t queued_ns;      /* since when it waits for a place, 0 if it does not */
    uint64_t queue_ns;       /* how long it may wait for one, by the limits that left it none */
    uint64_t wait_ns;        /* for a turn that was taken; the client is on the board, and waits first */
    bool is_half;            /* behind this wait it has to ask once more */
};

/* Tell whether anything about clients has to be counted: the listener is needed for that. */
bool place_is_limited(const struct board *board);

/* Write a client down, unless it cannot have a place. All signals are to be blocked. */
bool place_take(const struct place *place, struct turn *turn, const struct peer *client,
                const struct peer *proxy);

/* Have somebody wait for a place no more. */
void place_leave_queue(const struct place *place, struct turn *turn);

/* Write down a proxy that has not said yet for whom it comes, unless as many are served as may be. It is
 * of no source. */
bool place_announce(const struct place *place, struct turn *turn, const struct peer *proxy);

/* The same for a client of which nothing is to be counted. */
void place_write(const struct place *place, const struct turn *turn, const struct peer *client,
                 const struct peer *proxy);

#endif
