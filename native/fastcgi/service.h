/*
 * What requests are carried out by, and within which limits.
 */
#ifndef SOCKETD_SERVICE_H
#define SOCKETD_SERVICE_H

#include "backend.h"
#include "front/favourites.h"
#include "front/refusal.h"
#include "front/request.h"
#include "front/rule.h"

#include <stdbool.h>
#include <sys/resource.h>

enum stderr_mode {
    STDERR_TO_CLIENT, /* as records */
    STDERR_INHERITED,
    STDERR_TO_NULL,
};

struct service;

/*
 * Begin to carry out a request in a backend, which has nothing yet. Without a body its input is empty
 * from the start. Returns NULL, or why the request is refused; the backend's error number is then
 * there if the system is the reason.
 */
typedef const struct refusal *starter(const struct service *service, struct request *request,
                                      bool has_body, struct backend *backend);

struct service {
    const char *name; /* what lines for the log begin with */
    starter *start;
    /* Make ready what the request that begins to come is carried out by, unless it is; NULL if there is
     * no such thing.
     * Returns true in a child that is made here: it is no server of the connection, and nothing but
     * to leave it. What cannot be had is told by `start`. */
    bool (*prepare)(const struct service *service);
    void (*end)(const struct service *service); /* undo it, where no request will come */
    /* Its requests are carried out by copies of this process: where one has crashed, somebody may be
     * trying out what they have in common, so that this connection is the last one's, too. */
    bool has_copies;
    const void *means;             /* what that works with: it knows of which kind */
    const struct rule *rule;       /* for requests that choose their program; or NULL */
    struct favourites favourites;  /* among those programs: their copies serve connections, too */
    const char *own_path;          /* of the one whose copy this process is; NULL: it is of none */
    char *const *variables;        /* NAME=VALUE, of the service, then NULL */
    const char *allowed_names;     /* that a request may set: a list of front/names.h; or NULL */
    const struct rlimit *cpu_limit; /* of each program; NULL leaves it */
    enum stderr_mode stderr_mode;
    bool may_finish;   /* a program whose client has gone; else it is told to end */
    int head_limit_ms; /* for the head of a request */
    size_t head_limit; /* of its variables, in bytes */
    int keep_limit_ms; /* for the next request of a kept connection to begin */
    int request_limit_ms; /* for a request to be carried out; 0: none */
    int answer_limit_ms;  /* for the first byte of its answer; 0: none */
    uint64_t body_limit;  /* of its body, in bytes; 0: none */
    int kill_ms;          /* between SIGTERM and SIGKILL, for what does not end */
};

#endif
