/*
 * The program's signal dispositions, put aside while it is held.
 *
 * Owns their copies. Must not know what a signal means.
 */
#ifndef SOCKETD_DISPOSITIONS_H
#define SOCKETD_DISPOSITIONS_H

/* Set to the default the signals that libc keeps for itself, which the caller could not set. */
void dispositions_reset_reserved(void);

/* Put aside every disposition and set it to the default. `own` is ours, and has none to keep. */
void dispositions_put_aside(int own);

/* Give back what is not the default; a retire signal that waits is discarded. */
void dispositions_give_back(void);

#endif
