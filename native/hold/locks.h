/*
 * Locks that the program holds while it waits, and that a copy could never give back.
 *
 * Owns what such a lock looks like in memory. Must not know what becomes of a program that has one.
 */
#ifndef SOCKETD_LOCKS_H
#define SOCKETD_LOCKS_H

#include "survey.h"

/* Look for one in a survey of the memory, in the template. */
const struct survey_look *locks_begin(void);

/* After the survey: return why this program cannot be held, NULL if there is no such lock. */
const char *locks_obstacle(void);

#endif
