/*
 * What there is to say of a request to the operator of its service: that it was refused, or that a
 * variable of it was left out.
 *
 * Owns how that is worded in one line. Must not know where the line goes.
 */
#ifndef SOCKETD_NOTE_H
#define SOCKETD_NOTE_H

#include "names.h"
#include "request.h"

#include <stdbool.h>

enum { NOTE_LINE_SIZE = 256 };

struct note {
    const struct refusal *refused; /* NULL: it is carried out, without a variable */
    char name[NAMES_SHOWN_SIZE];   /* of the variable that this is about; empty if there is none */
    size_t count;                  /* of such variables; 0: this is about the trace alone */
    char trace[REQUEST_TRACE_SIZE]; /* that the request belongs to; or empty */
};

struct note note_of_refusal(const struct refusal *refused, const struct request *request);
/* Of a request that is carried out: of what was left out, if anything, and of its trace. */
struct note note_of_request(const struct request *request);

/* Write the line, without an end. Returns whether it is worth one: a client brings variables of
 * headers about, and must not be able to fill a log. */
bool note_write(const struct note *note, char line[NOTE_LINE_SIZE]);

#endif
