/*
 * The descriptors of a program that stand for its connection, and those that lead to the system's log.
 *
 * Owns which they are. Must not know what takes their place.
 */
#ifndef SOCKETD_WIRED_H
#define SOCKETD_WIRED_H

#include <stdint.h>

enum { MOST_WIRED = 16 };

/* Descriptors of the program that are one and the same. */
struct twins {
    int fds[MOST_WIRED];
    int flags[MOST_WIRED]; /* FD_CLOEXEC or 0 */
    int count;
};

/* Find all of both kinds, before there are descriptors of ours: they would be taken for the program's if
 * that has closed its own. `log_inode` is that of a socket, 0 if there is none. Returns NULL, or why the
 * program cannot be held. */
const char *wired_find(struct twins *wired, struct twins *logging, uint64_t log_inode);

#endif
