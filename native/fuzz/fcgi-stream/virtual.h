/*
 * The waiting of the wrapper: whoever is on the other side acts meanwhile.
 *
 * Owns ppoll() and poll() of the wrapper (see the makefile). So all of it is one thread, and hours
 * pass at once when nobody has anything to do.
 */
#ifndef SOCKETD_FUZZ_VIRTUAL_H
#define SOCKETD_FUZZ_VIRTUAL_H

/* A new input. */
void virtual_begin(void);

#endif
