/*
 * What the program wants to be called in its copies.
 *
 * Owns the function of that name in the program, and the state in which it is called. Must not know how
 * a copy is made.
 */
#ifndef SOCKETD_HOOKS_H
#define SOCKETD_HOOKS_H

#include <signal.h>

/* Look for the function. To be called in the template, by when the program has loaded its objects. */
void hooks_find(void);

/* Call it, with this mask of signals. To be called in a copy that has its connection and all else. */
void hooks_call(const sigset_t *mask);

#endif
