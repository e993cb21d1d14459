/*
 * A trial: one copy that no client waits for, before the template serves.
 *
 * Owns making it, its connection, and what its end says. Must not know what a copy does.
 */
#ifndef SOCKETD_TRIAL_H
#define SOCKETD_TRIAL_H

#include "board.h"

#include <stdbool.h>
#include <sys/types.h>

/* Returns true in the copy, all signals blocked. In the template it returns false when the copy has
 * ended, and gives up if that was by a fault, or if it has stopped. `thread_id` is where libc keeps it. */
bool trial_is_copy(pid_t *thread_id);

/* In the copy: put memory of its own in the place of the board, where it has no slot. */
void trial_leave_pool(const struct board *board);

/* In the copy: return a connection whose client has gone already, and send all messages of errors
 * nowhere. */
int trial_connect(void);

/* In the copy, when it is about to go on: it is not to outlive the template. */
void trial_go_on(void);

#endif
