/*
 * The requests of a FastCGI connection, each carried out by a copy of the program: a child of the copy
 * that has the connection, made when its request begins to come.
 *
 * Owns the child up to its request, and how it is told of that. Must not know what comes before, nor how
 * a copy becomes the program.
 */
#ifndef SOCKETD_REQUESTS_H
#define SOCKETD_REQUESTS_H

#include "copy.h"
#include "fastcgi/service.h"

/* Take note of the variables that the service sets, in the template. False if there are too many. */
bool requests_prepare(char *const service_entries[]);

/* Serve a connection. `thread_id` is where libc keeps it. Returns only in a child, of which nothing is left
 * but to become a copy, as a worker does that has no connection yet. */
void requests_serve(struct worker *worker, struct service *service, pid_t *thread_id);

/* Wait for the request, in that child, which ends if none will come. Returns what only the request has of
 * the environment. */
char **requests_take(struct streams *streams, const struct rlimit *cpu_limit);

/* In a child that is about to be the program: it does not outlive the one that serves the connection. */
void requests_follow(void);

#endif
