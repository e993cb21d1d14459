/*
 * A stack canary of each copy's own.
 *
 * Owns where the canary of this process stands, and what takes its place. Must not know when a
 * program is held.
 */
#ifndef SOCKETD_CANARY_H
#define SOCKETD_CANARY_H

/* Find every place of the canary. To be called in the template, by a function that a copy will return
 * into, as long as /proc/self can be opened. Returns NULL, or why copies have to keep the canary. */
const char *canary_find(void);

/* Put a new one into each of these places. To be called in a copy, from the same function. */
void canary_renew(void);

#endif
