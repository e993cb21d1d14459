/*
 * A worker that serves FastCGI itself: from its connection to the end of that.
 *
 * Owns what the connection has of the pool, and how the worker ends. Must not know what a request is
 * carried out by.
 */
#ifndef SOCKETD_FASTCGI_WORKER_H
#define SOCKETD_FASTCGI_WORKER_H

#include "fastcgi/service.h"
#include "plan.h"
#include "worker.h"

/* Take from the plan what it says of a service; the rest is the caller's. */
void fastcgi_worker_plan(struct service *service, const struct plan *plan);

/* Wait for a connection and serve it. To be called as worker_wait() is. Returns only in a child that the
 * service has prepared: with all signals blocked, every disposition at its default, and nothing of
 * the pool or of the connection. */
void fastcgi_worker_serve(struct worker *worker, const struct service *service);

#endif
