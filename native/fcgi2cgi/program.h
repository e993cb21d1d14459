/*
 * A CGI program (RFC 3875): how one is found and started.
 *
 * Owns the steps between a request's environment and the program's first instruction. Must not
 * know of records, nor what becomes of the program's output.
 */
#ifndef SOCKETD_FCGI_PROGRAM_H
#define SOCKETD_FCGI_PROGRAM_H

#include "backend.h"
#include "front/refusal.h"

#include <limits.h>

/* Where programs are looked for when nobody says where. */
#define PROGRAM_SAFE_PATH "/usr/local/bin:/usr/bin:/bin"

enum stderr_mode {
    STDERR_TO_CLIENT, /* as records */
    STDERR_INHERITED,
    STDERR_TO_NULL,
};

struct program {
    const char *path;
    const char *folder; /* its own, in which it is run: RFC 3875, section 7.2 */
    char *const *arguments;
    char *const *shell_arguments; /* for a file that no loader knows: sh, path, arguments[1]... */
};

/* Find a program as a shell would, and write its absolute path and folder. A name that is not
 * found is taken for a file in the current directory: starting it says what is wrong. Returns
 * whether there was room. */
bool program_find(const char *name, char path[PATH_MAX], char folder[PATH_MAX]);

/*
 * Start the program with an environment. Without a body its input is empty from the start. Returns
 * NULL, or why the request is refused; `failure` is then the error number.
 */
const struct refusal *program_start(const struct program *program, char *const environment[],
                                    bool has_body, enum stderr_mode stderr_mode,
                                    struct backend *backend, int *failure);

#endif
