/*
 * The timers that the program has started before it is held.
 *
 * Owns what is left of each. Must not know what they are for.
 */
#ifndef SOCKETD_TIMERS_H
#define SOCKETD_TIMERS_H

#include <stdbool.h>

/* Stop them, and keep what is left. To be called in the template, with all signals blocked, as long as
 * /proc/self can be read. Return what forbids to hold the program, or NULL. */
const char *timers_stop(void);

/* Make those that have a number anew, stopped; false if that cannot be done. To be called in a copy. */
bool timers_make(void);

/* Let all run on from where they were stopped. */
void timers_start(void);

#endif
