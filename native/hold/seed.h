/*
 * The random bytes that the kernel gives to each program that it executes.
 *
 * Owns their place. Must not know who makes use of them.
 */
#ifndef SOCKETD_SEED_H
#define SOCKETD_SEED_H

/* Put others into their place. To be called in a copy. */
void seed_renew(void);

#endif
