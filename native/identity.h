/*
 * What a connection is called, in the environment of its program (UNIQUE_ID) and in the log.
 *
 * Owns the form: when it was accepted and by which process, which is nobody else's on this machine until
 * it is started again; or what a proxy or a web server calls it. Must not know who asks.
 * socketd/workers/identity.py has it, too (a test holds the two against each other).
 */
#ifndef SOCKETD_IDENTITY_H
#define SOCKETD_IDENTITY_H

#include "board.h"

enum { IDENTITY_SIZE = 33 }; /* with the NUL */

/* Note what others call the connection, as far as there is room for it. */
void identity_note(const struct board *board, uint32_t number, const char *text);

/* Forget it: the place may have another client now. */
void identity_forget(const struct board *board, uint32_t number);

/* Return what it is called. */
void identity_read(const struct board *board, uint32_t number, char text[IDENTITY_SIZE]);

/* Settle what a request is called that has come by the connection of a struct worker: `given`, or if that is
 * NULL what the connection is. */
void identity_settle(const void *worker, const char *given, char text[IDENTITY_SIZE]);

#endif
