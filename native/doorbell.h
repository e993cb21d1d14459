/*
 * The doorbell: how the master is told to look at the board.
 *
 * Owns the two ways to ring. Must not know what there is to see.
 */
#ifndef SOCKETD_DOORBELL_H
#define SOCKETD_DOORBELL_H

#include <sys/types.h>

struct doorbell {
    pid_t master;
    int fd; /* write end of the master's self-pipe, non-blocking */
};

/* Ring the master, if it still lives. To be called with all signals blocked. */
void doorbell_ring(const struct doorbell *doorbell);

/* The same, also if the master holds back what workers ring. */
void doorbell_ring_at_once(const struct doorbell *doorbell);

#endif
