/*
 * The user's program: what a worker of the zygote becomes.
 *
 * Owns the steps from a connection to exec. Must not know how the worker got its connection.
 */
#ifndef SOCKETD_PROGRAM_H
#define SOCKETD_PROGRAM_H

#include "front/executable.h"
#include "worker.h"

#include <stdbool.h>

enum { STDERR_IS_CONNECTION = -1 };

struct program {
    struct executable executable;
    int stderr_fd;  /* STDERR_IS_CONNECTION, or what to put there; 2 leaves it */
    bool has_front; /* there is a request, which may be too large to be passed to it */
    bool is_chosen; /* by the request: that it cannot be run is the request's failure */
};

/* Become the program. To be called with all signals blocked and every disposition but the retire
 * signal's at its default. */
_Noreturn void program_become(const struct program *program, const struct worker *worker,
                              int connection, char **environment);

/* Return the exit status that says that it cannot be executed, by the shell's rule. */
int program_exec_status(int error);

#endif
