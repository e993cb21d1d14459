/*
 * What requests are carried out by, as the command line says it.
 */
#ifndef SOCKETD_SERVICE_H
#define SOCKETD_SERVICE_H

#include "pool.h"
#include "program.h"

/* Exactly one of the first three is there. */
struct service {
    const struct executable *program;
    const char *root; /* a folder of programs, absolute */
    const struct pool *pool;
    char *const *variables; /* NAME=VALUE, of the service, then NULL */
    const char *allowed_names; /* that a request may set: a list of front/names.h; or NULL */
    enum stderr_mode stderr_mode;
    int head_limit_ms; /* for the head of a request */
    int keep_limit_ms; /* for the next request of a kept connection to begin */
};

#endif
