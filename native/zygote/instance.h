/*
 * An instance: the user's program, started on two pipes before there is a connection.
 *
 * Owns its start, its end, and the order of the life of a worker that has one. Must not know how
 * the worker was made, nor how bytes are carried.
 */
#ifndef SOCKETD_INSTANCE_H
#define SOCKETD_INSTANCE_H

#include "environment.h"
#include "program.h"
#include "worker.h"

/*
 * Start the program, wait for a connection, relay it, end as the program has ended. To be called
 * with all signals blocked and every disposition at its default.
 */
_Noreturn void instance_live(const struct program *program, struct worker *worker,
                             struct environment *environment);

#endif
