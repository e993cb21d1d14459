/*
 * A stack canary of each copy's own.
 *
 * Owns where the canary of this process stands, and what takes its place. Must not know when a
 * program is held.
 */
#ifndef SOCKETD_CANARY_H
#define SOCKETD_CANARY_H

#include "survey.h"

/* Look for every place of the canary in a survey of the memory, in the template. */
const struct survey_look *canary_begin(void);

/* Say that the survey is over, and what its trouble was. Returns NULL, or why copies have to keep the
 * canary. */
const char *canary_settle(const char *survey_trouble);

/* Put a new one into each of these places, in a copy. */
void canary_renew(void);

#endif
