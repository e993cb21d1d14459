/*
 * The pool that the wrapper passes requests on to, behind a real socket.
 *
 * Owns the listener and its connections. Carries out the same plans as the program, without ever
 * waiting.
 */
#ifndef SOCKETD_FUZZ_POOL_SIDE_H
#define SOCKETD_FUZZ_POOL_SIDE_H

#include "fcgi2cgi/pool.h"

#include <stdbool.h>
#include <stdint.h>

/* Listen, once for all inputs, and say where. */
void pool_side_listen(int family, struct pool *pool);

/* Serve by this plan from now on. */
void pool_side_begin(const uint8_t *plan, size_t steps);

/* Do what can be done. Returns whether that was anything. */
bool pool_side_turn(void);

/* Close every connection. */
void pool_side_end(void);

#endif
