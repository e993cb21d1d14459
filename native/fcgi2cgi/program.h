/*
 * A CGI program (RFC 3875): how one is started.
 *
 * Owns the steps between a request's environment and the program's first instruction. Must not
 * know of records, nor what becomes of the program's output.
 */
#ifndef SOCKETD_FCGI_PROGRAM_H
#define SOCKETD_FCGI_PROGRAM_H

#include "backend.h"
#include "front/executable.h"
#include "front/refusal.h"

enum stderr_mode {
    STDERR_TO_CLIENT, /* as records */
    STDERR_INHERITED,
    STDERR_TO_NULL,
};

/*
 * Start the program with an environment. Without a body its input is empty from the start. Returns
 * NULL, or why the request is refused; `failure` is then the error number.
 */
const struct refusal *program_start(const struct executable *program, char *const environment[],
                                    bool has_body, enum stderr_mode stderr_mode,
                                    struct backend *backend, int *failure);

#endif
