/*
 * The end of a connection whose peer may still be sending what will not be read.
 *
 * Owns the order of that end. Must not know what was said before.
 */
#ifndef SOCKETD_FAREWELL_H
#define SOCKETD_FAREWELL_H

#include <signal.h>

/* How long what the peer still sends is taken: in all, and without a byte. */
struct farewell {
    int limit_ms;
    int silence_ms;
};

/* After an answer there may be a whole body to come: some web servers send all of it first. After a
 * refusal a peer that reads has read it soon, and one that does not costs no more than this. */
extern const struct farewell farewell_answered;
extern const struct farewell farewell_refused;

/* Tell the peer that all is said, and take what it still sends until it is done too, a limit is over,
 * or a signal is handled that is not blocked in `while_waiting`, or at all where that is NULL. Does
 * nothing to what is no socket. */
void farewell_say(int connection, const struct farewell *farewell, const sigset_t *while_waiting);

#endif
