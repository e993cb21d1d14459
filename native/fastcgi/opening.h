/*
 * The beginning of an answer: what is sent in which order, until the head of the answer has been.
 *
 * Owns what waits meanwhile. Does no input or output, and must not know of records but how large one
 * is.
 *
 * nginx reads what comes before an answer into one buffer, of a page or more, and the head has to end
 * in the same buffer: what a program complains of before takes its place, and is only taken out again
 * where the buffer ends within what a record holds, not within the frame of a record. Apache makes a
 * line of its log of each record. So the head is gathered, however a program writes it, and goes out
 * in one record. What the program has complained of goes before it where there is surely room for
 * both, else behind it; if it becomes too much to wait, or waits for too long, it goes before the head
 * in records that fill pages.
 *
 * A whole head that lacks its status gets it here (redirection.h).
 */
#ifndef SOCKETD_FCGI_OPENING_H
#define SOCKETD_FCGI_OPENING_H

#include "record.h"
#include "redirection.h"

#include <stdbool.h>

enum {
    OPENING_PAGE = 4096,
    OPENING_HEAD_SIZE = 2 * OPENING_PAGE,
    OPENING_LOG_SIZE = 4 * OPENING_PAGE - RECORD_HEAD_SIZE,
    /* What all that waits takes when it is sent. */
    OPENING_MOST = REDIRECTION_STATUS_SIZE + OPENING_HEAD_SIZE + OPENING_LOG_SIZE +
                   3 * (RECORD_HEAD_SIZE + RECORD_ALIGNMENT),
};

struct opening {
    bool is_open; /* the head is complete, or no more of it comes */
    bool is_over; /* and nothing waits any more: what comes goes as it is */
    bool is_line_begun;
    bool is_head_only; /* the body is nobody's (RFC 3875, section 4.3.3): HAProxy takes it for an error */
    size_t head_begin;
    size_t head_size;
    size_t log_begin;
    size_t log_end;
    uint64_t log_due_ms; /* when what waits has waited for long enough */
    unsigned char head[REDIRECTION_STATUS_SIZE + OPENING_HEAD_SIZE]; /* the program's is behind */
    unsigned char log[OPENING_LOG_SIZE];
};

/* What is to be sent next, as one record. */
struct opening_piece {
    enum record_type type;
    const unsigned char *bytes;
    size_t length;
};

void opening_begin(struct opening *opening, bool is_head_only);

/* Return where what comes of a stream, stdout or stderr, may be put, and how much. That is never
 * nothing if all pieces have been sent. */
unsigned char *opening_room(struct opening *opening, enum record_type type, size_t *room);

/* So much has been put there. */
void opening_take(struct opening *opening, enum record_type type, size_t length, uint64_t now_ms);

/* No more comes of the head. */
void opening_end(struct opening *opening);

/* Return whether something is to be sent, and what: it has to be sent before the next call. */
bool opening_next(struct opening *opening, uint64_t now_ms, struct opening_piece *piece);

/* Return for how many milliseconds there is nothing to send if nothing comes, -1 for ever. */
int opening_patience(const struct opening *opening, uint64_t now_ms);

#endif
