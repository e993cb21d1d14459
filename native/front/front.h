/*
 * The front: what a worker does between its connection and its program. It takes the head of an
 * SCGI request off the connection, so that the program finds a CGI request: its variables in the
 * environment, its body as standard input.
 *
 * Owns the request of this process, and the answer to one that is refused. Must not know how the
 * connection was made, nor how a program is run.
 */
#ifndef SOCKETD_FRONT_H
#define SOCKETD_FRONT_H

#include "choice.h"
#include "favourites.h"
#include "note.h"
#include "refusal.h"
#include "request.h"

#include <stdbool.h>
#include <stdint.h>

enum { FRONT_NAME_SIZE = 33 }; /* of what a request is called, with the NUL */

struct front {
    int head_limit_ms; /* for the whole head; 0: there is no front */
    const char *allowed_names; /* that a request may set: a list of names.h; or NULL */
    size_t head_limit;   /* in bytes, as that of a struct request */
    uint64_t body_limit; /* in bytes; 0: none */
    int answer_limit_ms; /* for the first byte of an answer; 0: none */
    struct rule rule; /* for requests that choose their program */
    struct favourites favourites; /* among those programs */
    void (*note)(const void *keeper_of_notes, const struct note *note);
    const void *keeper_of_notes;
    /* Settle what a request is called, which is `given`, or NULL; NULL where nobody can. */
    void (*settle_name)(const void *keeper_of_notes, const char *given, char text[FRONT_NAME_SIZE]);
};

struct front_request {
    char **entries;      /* the whole environment, then NULL */
    char **own_entries;  /* those of it that only the request has, then NULL */
    const char *path;    /* of the program that it has chosen, NULL if there is only one */
    const char *folder;  /* to run that program in, NULL for where we are */
    uint64_t body_length; /* CARRY_TO_THE_END if it is as long as it comes */
};

/* Take note of the variables that the service sets, in the template, once for all workers. False
 * if there are too many of them. */
bool front_prepare(char *const service_entries[]);

/* Read a request from `in`. Returns only if it is to be carried out: the answer to any other has
 * been sent to `out`, and the process has left. Signals are not blocked meanwhile. */
struct front_request front_take(const struct front *front, int in, int out);

/* Hand a connection to a copy of the program that its request names, if the head of that comes at once
 * and the program is a favourite. Nothing is read of it. Returns whether that was done: the connection
 * is closed then. Waits for some milliseconds at most. */
bool front_hand_on(const struct front *front, int connection);

/* Refuse a request that has been read, and leave. */
_Noreturn void front_refuse(const struct front *front, int out, const struct refusal *refusal);

/* Leave word of a request that has been answered in place of its program. */
void front_tell(const struct front *front, const struct refusal *refusal);

/* Why a program that could not be executed is no answer, by the errno of execve(2). */
const struct refusal *front_why_not_run(int error);

#endif
