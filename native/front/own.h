/*
 * The variables that a service sets for its programs, as a wrapper is told of them.
 *
 * Owns the ways to name them, and the PATH of a service that names none. Must not know what a
 * request says.
 *
 * Arguments are visible to every user, in ps(1). So there are two ways that put no
 * value there: a name alone, and a beginning of names, both for the wrapper's own environment.
 */
#ifndef SOCKETD_OWN_H
#define SOCKETD_OWN_H

#include <stddef.h>

enum { OWN_VARIABLES = 256 };

struct own {
    char *entries[OWN_VARIABLES + 1]; /* NAME=VALUE, then NULL */
    size_t count;
};

/* Take NAME=VALUE, or NAME for one of our own environment; in place of what there is of that name.
 * Returns a complaint, or NULL. */
const char *own_add(struct own *own, char *text);

/* Take all of our own environment that begin with this prefix, without it. Returns a complaint, or
 * NULL. */
const char *own_add_prefixed(struct own *own, const char *prefix);

/* Give a service that does not set PATH one that no other user can have influenced. Returns a
 * complaint, or NULL. */
const char *own_complete(struct own *own);

#endif
