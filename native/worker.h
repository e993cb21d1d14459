/*
 * The worker: a child of the template, from birth until it has a connection.
 *
 * Owns the order of the steps and their failures. Must not know how it was made, nor why, nor
 * what becomes of the connection.
 */
#ifndef SOCKETD_WORKER_H
#define SOCKETD_WORKER_H

#include "board.h"
#include "doorbell.h"
#include "environment.h"
#include "exits.h"

#include <stdint.h>
#include <sys/resource.h>

struct worker {
    struct board board;
    struct doorbell doorbell;
    uint32_t number;
    int listener_fd;
    const struct rlimit *cpu_limit; /* NULL leaves it */
    /* What to do in place of exit status 0 when no connection is to come; NULL for nothing. */
    void (*end_idle)(const struct worker *worker);
    /* What to make of what was accepted: the connection to serve, or -1 if there is none any more, and
     * the worker waits on; NULL takes it as it is. All signals are blocked meanwhile. */
    int (*take)(const struct worker *worker, int accepted);
};

/*
 * Wait for one connection, tell the master, add the connection's variables to the environment
 * unless that is NULL. Returns the connection. To be called with all signals blocked and every
 * disposition at its default, and returns so but for two things that the caller has to undo: the
 * retire signal's handler, and the request to be told of the master's death.
 *
 * Where proxies say whose connection it is, and one takes its time, the listener is given back by then.
 */
int worker_wait(struct worker *worker, struct environment *environment);

/* The handler of the retire signal, for others that are to end the wait as well; each with all signals
 * blocked. It does nothing but close the listener's number. What a client needs the listener for that
 * has been accepted by then, another number leads to until that client is written down. */
void worker_stop_listening(int signal_number);

/* Give back the listener and the retire signal, for a worker that has its connection and does more
 * than become the program: as long as any process has a listening socket, clients can connect. */
void worker_leave(struct worker *worker);

/* The same, and give back all else of the pool's: nothing can be told to the master any more. */
void worker_leave_pool(struct worker *worker);

/* The same for one that has the retire signal handled by now, and does not wait; once is enough. */
void worker_give_back(struct worker *worker);

/* Leave word of a failure, unless all has been given back, and end. */
_Noreturn void worker_fail(const struct worker *worker, enum step step, int error, int status);

#endif
