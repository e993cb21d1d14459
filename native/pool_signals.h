/*
 * The signals between the master and its workers; docs/signals.md says what each means.
 *
 * socketd/workers/contract.py has them, too, and a test holds the two against each other.
 */
#ifndef SOCKETD_POOL_SIGNALS_H
#define SOCKETD_POOL_SIGNALS_H

#include <signal.h>

#define RETIRE_SIGNAL SIGWINCH /* to a worker: take on nothing more. Its default is to be ignored. */
#define RING_SIGNAL SIGUSR1    /* to the master: look at the board */

#endif
