/*
 * The user's program: what a worker of the zygote becomes.
 *
 * Owns the steps from a connection to exec. Must not know how the worker got its connection.
 */
#ifndef SOCKETD_PROGRAM_H
#define SOCKETD_PROGRAM_H

#include "front/executable.h"
#include "front/keeper.h"
#include "plan.h"
#include "worker.h"

#include <stdbool.h>

struct program {
    struct executable executable;
    enum stderr_target stderr_target;
    const struct farewell *farewell; /* of the parent that is to stay behind it; NULL for none */
    const struct front *front; /* NULL: there is no request, which might be too large for it */
    struct carriage carriage;        /* what that carries */
    int kill_ms;                     /* for a program whose client has gone */
    bool is_chosen; /* by the request: that it cannot be run is the request's failure */
};

/* Open what is to be a program's standard error; `output` is what it is with STDERR_SOCKET. Returns -1
 * with errno set if that cannot be. Each program has its own: what one does to it, as to shut it down,
 * is not done to that of others. */
int program_open_stderr(const struct program *program, int output);

/* Become the program, with these ends as its standard input and output. To be called with all signals
 * blocked and every disposition but the retire signal's at its default. */
_Noreturn void program_become(const struct program *program, const struct worker *worker,
                              const struct carry_ends *ends, char **environment);

/* Return the exit status that says that it cannot be executed, by the shell's rule. */
int program_exec_status(int error);

#endif
