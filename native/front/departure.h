/*
 * Whether a client that says no more has gone, or has only ended its sending.
 *
 * Owns the question to the kernel. Must not know what follows from the answer.
 */
#ifndef SOCKETD_DEPARTURE_H
#define SOCKETD_DEPARTURE_H

#include <stdbool.h>

/* Tell whether the peer of a connection whose input has ended is gone, as far as can be known. */
bool departure_is_final(int connection);

#endif
