/*
 * The worker: a child of the template, from birth until it becomes the program.
 *
 * Owns the order of the steps and their failures. Must not know how it was made, nor why.
 */
#ifndef SOCKETD_WORKER_H
#define SOCKETD_WORKER_H

#include "board.h"
#include "doorbell.h"
#include "environment.h"

#include <stdint.h>
#include <sys/resource.h>

enum { STDERR_IS_CONNECTION = -1 };

struct program {
    const char *path;
    char **arguments;
    char **shell_arguments; /* for a file that no loader knows: sh, path, arguments[1]... */
    int stderr_fd;          /* STDERR_IS_CONNECTION, or what to put there; 2 leaves it */
};

struct worker {
    struct board board;
    struct doorbell doorbell;
    uint32_t number;
    int listener_fd;
    const struct rlimit *cpu_limit; /* NULL leaves it */
};

/*
 * Wait for one connection and become the program. To be called with all signals blocked and
 * every disposition at its default.
 */
_Noreturn void worker_run(const struct worker *worker, const struct program *program,
                          struct environment *environment);

#endif
