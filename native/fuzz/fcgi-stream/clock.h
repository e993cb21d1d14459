/*
 * Time, as the wrapper sees it.
 *
 * Owns clock_gettime() of the wrapper (see the makefile). Must not know why time passes.
 */
#ifndef SOCKETD_FUZZ_CLOCK_H
#define SOCKETD_FUZZ_CLOCK_H

#include <stdint.h>

/* Have the clock go ahead. */
void clock_let_pass(int64_t milliseconds);

/* How far it is ahead of the real one. */
int64_t clock_ahead_ms(void);

#endif
