/*
 * The connection's variables in the environment of a running program.
 *
 * Owns the room for them. Must not know what they say.
 */
#ifndef SOCKETD_VARIABLES_H
#define SOCKETD_VARIABLES_H

#include <stddef.h>

/* Leave room for so many entries behind the environment. To be called before main(). */
void variables_make_room(size_t more);

/* Write to where entries would be added, if that is known: see shortcuts.h. */
void variables_touch(void);

/* Add entries, NAME=VALUE, to the environment, wherever the program has it by now. */
void variables_add(char *const entries[]);

#endif
