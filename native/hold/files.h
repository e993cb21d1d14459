/*
 * The files and folders that the program has open for reading, each copy with a position of its own.
 *
 * Owns the list of them. Must not know what the program reads there.
 */
#ifndef SOCKETD_FILES_H
#define SOCKETD_FILES_H

/* Find them, and where the program stands in each. To be called in the template. Return what
 * forbids to hold the program, or NULL. */
const char *files_find(void);

/* Open them anew, in a copy. One that cannot be opened any more stays shared. */
void files_reopen(void);

#endif
