/*
 * Shortcuts of the kernel's page tables and of the loader.
 *
 * Owns all that is done only so that a fork copies less, or a copy takes fewer page faults on its
 * way from a connection to the program. All of it could be left out, and is where SOCKETD_PLAIN is 1
 * in the environment: none may be why something does not work. Must not know what is in the pages.
 */
#ifndef SOCKETD_SHORTCUTS_H
#define SOCKETD_SHORTCUTS_H

#include <stdbool.h>
#include <stddef.h>

/* To be called once in a template, while its environment is what it was given. Without it none are
 * taken. */
void shortcuts_choose(void);

bool shortcuts_are_taken(void);

/* Write to each page of an object, what is there. A copy shares each page with its template until
 * one of them writes to it. That costs two microseconds in the middle of something else; so what every
 * copy will write to between its connection and the program it touches while there is no client. */
void shortcuts_touch(void *start, size_t size);

/* Return where memory of this size is to be mapped by force if it shall be quick to unmap, NULL for
 * anywhere. */
void *shortcuts_find_place(size_t size);

/* Have children of this process start with all of its code in their page tables. False if the code
 * cannot be protected again: it is writable then. */
bool shortcuts_keep_code_through_fork(void);

#endif
