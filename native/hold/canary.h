/*
 * A stack canary of each copy's own.
 *
 * Owns where the canary of this process stands, and what takes its place. Must not know when a
 * program is held.
 */
#ifndef SOCKETD_CANARY_H
#define SOCKETD_CANARY_H

#include "survey.h"

/* What changes the canary would find it changed at its own end. So would whoever was called after the
 * survey, and has not returned. */
#if defined(__has_attribute)
#if __has_attribute(no_stack_protector)
#define UNPROTECTED __attribute__((noinline, no_stack_protector))
#endif
#endif
#ifndef UNPROTECTED
#define UNPROTECTED __attribute__((noinline, optimize("no-stack-protector")))
#endif

/* Look for every place of the canary in a survey of the memory, in the template. */
const struct survey_look *canary_begin(void);

/* Say that the survey is over, and what its trouble was. Returns NULL, or why copies have to keep the
 * canary. */
const char *canary_settle(const char *survey_trouble);

/* Put a new one into each of these places, in a copy. Its callers, up to who has had the memory surveyed,
 * are UNPROTECTED. */
void canary_renew(void);

#endif
