/*
 * Favourites: programs that requests name and that are asked for so often that each has a template of
 * its own. A worker that has accepted a connection hands it to a copy of the program that its request
 * names, whole: nothing has been read of it.
 *
 * Owns the addresses, and the way of a connection from one process to the other. Must not know what a
 * request is, nor how a copy becomes the program.
 */
#ifndef SOCKETD_FAVOURITES_H
#define SOCKETD_FAVOURITES_H

#include <stdbool.h>
#include <sys/types.h>

enum { FAVOURITES_TOKEN_SIZE = 33 }; /* 32 hexadecimal digits, and the NUL */

struct favourites {
    const char *token; /* of the service, a part of each address; NULL: it has none */
    pid_t master;      /* who listens for all copies */
};

/* Hand a connection to a copy of the program at `path`, which has to be absolute. Returns whether it has
 * been handed over: it may be closed then. Where the program has no template the master is told that
 * it was asked for. May wait for some milliseconds. */
bool favourites_hand_on(const struct favourites *favourites, const char *path, int connection);

/* In a copy: take a connection from who has called, and close the channel. Returns -1 if there is none
 * to be had. */
int favourites_receive(int channel);

#endif
