/*
 * What a template needs, from the master alone, to this process alone.
 *
 * Owns the channel between the two and the answer that goes back. Must not know what the descriptors
 * are for.
 */
#ifndef SOCKETD_HANDOVER_H
#define SOCKETD_HANDOVER_H

#include "trial.h"

enum handed {
    BOARD,
    LISTENER,
    SLOTS,
    DOORBELL,
    CAPTURE,
    ANSWER,
    PLAN,
    HANDED_ALWAYS,
    GROUPS = HANDED_ALWAYS, /* of control; -1: there is none, as with the next */
    REQUEST,                /* for a copy on trial */
    HANDED
};

/* Wait until the master has handed over its descriptors. Nobody may be able to look into this process
 * who is not to have them. */
void handover_receive(int descriptors[HANDED]);

/* Tell the master that this process is held, what a copy has made of a request, and why copies keep
 * its canary, NULL if they do not; nothing can be told any more. */
void handover_confirm(const struct trial_outcome *outcome, const char *shared_canary);

/* Have nothing to tell the master, in a process that is not to be held. */
void handover_close(void);

/* Tell the master why it is not, and end. */
_Noreturn void handover_give_up(const char *reason);

#endif
