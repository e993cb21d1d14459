/*
 * What the program has registered for a fork with pthread_atfork(3).
 *
 * Owns the list, and the functions of libc that would see the same. Must not know how a copy is made.
 */
#ifndef SOCKETD_ATFORK_H
#define SOCKETD_ATFORK_H

/* Return why it is not known what to call, NULL if it is. */
const char *atfork_obstacle(void);

/* What fork() calls before it. Once, in the template, for all copies. */
void atfork_prepare(void);

/* What fork() calls in the child. To be called in a copy. */
void atfork_child(void);

#endif
