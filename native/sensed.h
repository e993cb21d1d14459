/*
 * Whether a client is kept out because it has connected to a sensor.
 *
 * Owns the reading of the list of those. Must not know what a sensor is, nor who writes the list.
 * socketd/workers/sensed.py does the same.
 */
#ifndef SOCKETD_SENSED_H
#define SOCKETD_SENSED_H

#include "address.h"
#include "gate.h"

#include <stdbool.h>

/* Tell whether anybody is kept out, so that a client has to be looked up. */
bool sensed_is_anybody(const struct gate *gate);

/* Tell whether a client is. */
bool sensed_is(const struct gate *gate, const struct peer *client);

#endif
