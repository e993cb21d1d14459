/*
 * A length of time as the wrappers are told one.
 *
 * Owns the text form. Must not know what a time is for.
 */
#ifndef SOCKETD_SECONDS_H
#define SOCKETD_SECONDS_H

#include <stdbool.h>

enum { MOST_SECONDS = 86400 };

/* Read seconds, as in "30" or "0.25", of which there is at least one millisecond and at most a day.
 * Returns whether it is that. */
bool seconds_parse(const char *text, int *milliseconds);

#endif
