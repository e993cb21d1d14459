/*
 * The template: a process held still, of which every worker is a copy.
 *
 * Owns the loop that reads slot numbers and makes one child for each. Must not know what a child
 * does, nor what the process was before: the loop uses no stdio, allocates nothing and calls only
 * what a signal handler may call, so that it can run inside any program.
 */
#ifndef SOCKETD_TEMPLATE_H
#define SOCKETD_TEMPLATE_H

#include "board.h"
#include "doorbell.h"

#include <stdint.h>
#include <sys/types.h>

struct template {
    struct board board;
    struct doorbell doorbell;
    int slots_fd;     /* orders: native uint32_t slot numbers; end of file ends the template */
    int groups_fd;    /* of the control groups that children are born in; -1: in that of the template */
    pid_t *thread_id; /* where libc keeps it, for a child that goes on in a program; or NULL */
};

/* Clone this process as fork() does, without what the program has registered for that. `pid` is where
 * CLONE_PARENT_SETTID puts it, or NULL; so is `thread_id`, for libc. Returns what the call does. */
long template_clone(unsigned long flags, pid_t *pid, pid_t *thread_id);

/*
 * Run the loop. Returns only in a new child, with its slot number, all signals blocked and
 * slots_fd closed; the template itself leaves by _exit().
 */
uint32_t template_run(const struct template *template);

#endif
