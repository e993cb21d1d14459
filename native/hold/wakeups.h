/*
 * What a program has open to wake itself: event descriptors, and pipes with both ends.
 *
 * Owns the list of them, and what else the program has open by which copies would get in each
 * other's way. Must not know what is sent there, nor anything of files (files.c).
 */
#ifndef SOCKETD_WAKEUPS_H
#define SOCKETD_WAKEUPS_H

#include <stdbool.h>
#include <stdint.h>

/* Remember where standard error leads, which the program was given. Before anything of it runs. */
void wakeups_begin(void);

/* Find them, before there is a descriptor of ours. `log_inode` is that of the socket to the
 * system's log, 0 if there is none. Return what forbids to hold the program, or NULL. */
const char *wakeups_find(uint64_t log_inode);

/* Make them anew, in a copy. False if that fails. */
bool wakeups_renew(void);

#endif
