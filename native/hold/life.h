/*
 * The life of a copy, from the clone back into the program.
 *
 * Owns the order of it, with a connection, with requests, or on trial. Must not know how a program is held,
 * nor how its template makes copies.
 */
#ifndef SOCKETD_LIFE_H
#define SOCKETD_LIFE_H

#include "copy.h"
#include "terms.h"
#include "worker.h"

#include <stdbool.h>
#include <sys/types.h>

/* What all copies of a program have from its template. */
struct held {
    struct original original;
    struct terms terms;
    bool has_request; /* there is one for the copy on trial */
};

/* Make a worker of the service ready to be cloned, once the terms are known. */
void life_prepare(const struct held *held, struct worker *worker);

/* Tell whether the copy on trial goes on in the program: with a front that takes a request. */
bool life_is_tried(const struct held *held);

/* Return into the program with a connection, or with a request: with FastCGI the process that has been a
 * worker stays behind, and each of its children goes on. `thread_id` is where libc keeps it. */
void life_live(struct held *held, struct worker *worker, pid_t *thread_id);

/* Return into the program on trial, or end. No keeper stays behind: the client is the template, which
 * reads all. */
void life_try(struct held *held, struct worker *worker);

#endif
