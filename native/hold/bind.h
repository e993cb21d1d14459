/*
 * The functions that the program calls, looked up once for all copies.
 *
 * Owns the walk over the tables of lazy binding. Must not know when a program is held.
 */
#ifndef SOCKETD_BIND_H
#define SOCKETD_BIND_H

#include <stdbool.h>

/* Bind every function that can be bound by now. To be called before main(). */
void bind_functions(void);

/* Tell whether the program or one of its libraries calls a function of this name. False where that
 * is not known. */
bool bind_is_called(const char *name);

#endif
