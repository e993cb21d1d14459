/*
 * The relay: bytes between a connection and the two pipes of a program.
 *
 * Owns the bytes, the end of each direction and the descriptors once it has them. Must not know
 * which program is behind the pipes, nor what its end means.
 */
#ifndef SOCKETD_RELAY_H
#define SOCKETD_RELAY_H

#include "front/flow.h"

#include <stdbool.h>

struct relay {
    int connection;
    struct flow input;  /* from the connection to the program */
    struct flow output; /* from the program to the connection */
};

/* Take over a connection and our ends of the pipes. Returns false with errno set. */
bool relay_open(struct relay *relay, int connection, int stdin_fd, int stdout_fd);

/* Wait until there is something to carry, and carry it, or until `other_fd` is readable; tell
 * whether that is so. */
bool relay_turn(struct relay *relay, int other_fd);

/* Tell whether everything that the program has printed is sent, or the client is gone. */
bool relay_has_sent(const struct relay *relay);

#endif
