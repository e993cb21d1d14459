/*
 * One CGI request: the environment that its program gets (RFC 3875, section 4.1).
 *
 * Owns the table of entries. Must not know by which protocol a request has
 * come, nor what becomes of it: the decoder keeps the text, the entries point into that.
 */
#ifndef SOCKETD_REQUEST_H
#define SOCKETD_REQUEST_H

#include "refusal.h"
#include "trace.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    REQUEST_TEXT_SIZE = 64 * 1024, /* the most that names and values may take together */
    REQUEST_HEAD_MOST = REQUEST_TEXT_SIZE - 1,
    REQUEST_HEAD_LEAST = 1024, /* a limit below that would let nobody in */
    REQUEST_ENTRIES = 768,         /* of the service and of the request together */
};

/* A name as it stands in a request: nothing ends it, and it may be no name at all. */
struct request_name {
    const char *text;
    size_t length;
};

struct request {
    size_t count;
    size_t own_count; /* the first of them, which are the service's */
    const char *allowed_names; /* which of the others may come: a list of names.h, or NULL */
    size_t head_limit; /* what names and values may take together, each with one more byte */
    struct request_name left_out; /* the first that the operator is to be told of */
    size_t left_out_count;
    struct request_name culprit; /* what a refusal is about; its length is 0 if that is no variable */
    /* NAME=VALUE, then NULL. Last, so that what each request uses lies close together. */
    char *entries[REQUEST_ENTRIES + 1];
};

/* Begin with the variables that the service sets: a name that it sets is its own, and what the
 * request says of it is left out. The list of the names that may come is kept, and so is the limit of
 * the head. Returns a refusal if there are too many of them. */
const struct refusal *request_begin(struct request *request, char *const service_entries[],
                                    const char *allowed_names);

/* Read the limit of a head, as in "8192". Returns whether it is one that is not so small that nobody gets
 * in, nor larger than there is room. */
bool request_parse_head_limit(const char *text, size_t *limit);

/* Begin another one with the same variables of the service, and the same names that may come. */
void request_begin_again(struct request *request);

/* Room behind the texts of a request, for those that are made of them. */
struct request_room {
    char *next;
    const char *end;
};

/*
 * Add an entry, NAME=VALUE, whose name has this length. What is not to come is left out; see names.h.
 * So is a name that is none, as web servers make of odd headers. Of a name that comes again the last
 * value counts: web servers send their usual variables, and then what their operator has set. Returns
 * a refusal if there are too many, or two lengths of the body.
 *
 * A header that a client has sent twice comes twice from some web servers, though they are to make
 * one variable of it (RFC 3875, section 4.1.18). This does it for them, as a list, in the room.
 */
const struct refusal *request_add(struct request *request, char *entry, size_t name_length,
                                  struct request_room *room);

/* Add an entry of our own making in place of what there may be of that name. */
const struct refusal *request_put(struct request *request, char *entry, size_t name_length);

/* Return the place of an entry with this name, to be replaced by another of it; NULL if there is
 * none. The name need not end with a NUL. */
char **request_entry(struct request *request, const char *name, size_t name_length);

/* Note which variable a refusal is about. Returns the refusal. */
const struct refusal *request_blame(struct request *request, const char *name, size_t name_length,
                                    const struct refusal *refused);

/* Say what programs go by, unless it was said: that this is CGI/1.1 (RFC 3875, section 4.1.4), which
 * Apache does not say by SCGI; and TRACEPARENT, where tracers look for what a header traceparent says. */
const struct refusal *request_complete(struct request *request);

/* Look whether the body that a request announces is larger than a limit in bytes, 0 for none. */
const struct refusal *request_check_body(struct request *request, uint64_t limit);

enum { REQUEST_TRACE_SIZE = TRACE_ID_LENGTH + 1 };

/* Write the trace that a request belongs to (W3C Trace Context, traceparent), empty if it is of none. */
void request_trace(const struct request *request, char trace[REQUEST_TRACE_SIZE]);

/* Return the value of a variable, NULL if there is none. */
const char *request_find(const struct request *request, const char *name);

#endif
