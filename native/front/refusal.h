/*
 * A request that is not carried out: why, and the answer that says so (RFC 3875, section 6.3).
 *
 * Owns the form of the answer. Must not know where it goes through: a connection, or a record.
 */
#ifndef SOCKETD_REFUSAL_H
#define SOCKETD_REFUSAL_H

#include <stddef.h>

struct refusal {
    const char *status; /* "400 Bad Request" */
    const char *reason; /* a sentence without its full stop, for the operator */
};

enum { REFUSAL_ANSWER_SIZE = 1024 };

/* Write the whole CGI answer, its head and one line of plain text, which ends with what it is about
 * unless that is empty. Returns its length. */
size_t refusal_write(const struct refusal *refusal, const char *about,
                     char answer[REFUSAL_ANSWER_SIZE]);

#endif
