/*
 * A trial: one copy that no client waits for, before the template serves.
 *
 * Owns making it, its connection, and what its end says. Must not know what a copy does.
 */
#ifndef SOCKETD_TRIAL_H
#define SOCKETD_TRIAL_H

#include "board.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* What a copy has made of a request. */
struct trial_outcome {
    bool has_answered; /* there was one; the rest is said of it only */
    int status;        /* with which it has ended, as a shell says it */
    size_t answer_bytes;
};

/* Returns true in the copy, all signals blocked. In the template it returns false when the copy has
 * ended, and gives up if that was by a fault, or if it has stopped. `thread_id` is where libc keeps it.
 * With `is_run` it is to go on in the program; `request` is then a file with what its client sends, and is
 * closed, or -1 if the client has left. */
bool trial_is_copy(pid_t *thread_id, bool is_run, int request, struct trial_outcome *outcome);

/* In the copy: put memory of its own in the place of the board, where it has no slot. */
void trial_leave_pool(const struct board *board);

/* In the copy: return a connection to its client. If that has left, all messages of errors go nowhere. */
int trial_connect(void);

/* In the copy, when it is about to go on: it is not to outlive the template. */
void trial_go_on(void);

#endif
