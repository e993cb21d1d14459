/*
 * Time, as the wrapper sees it, and its waiting: whoever is on the other side acts meanwhile.
 *
 * Owns ppoll(), poll() and clock_gettime() of the wrapper (see the makefile). So all of it is one
 * thread, and hours pass at once when nobody has anything to do.
 */
#ifndef SOCKETD_FUZZ_VIRTUAL_H
#define SOCKETD_FUZZ_VIRTUAL_H

/* A new input. */
void virtual_begin(void);

/* Have the clock go ahead. */
void virtual_let_pass(long milliseconds);

#endif
