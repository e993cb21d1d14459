/*
 * One request, from its complete variables to the record that ends it.
 *
 * Owns the backend that carries it out, and its limits. Must not know how the request has come in, nor
 * what comes after it.
 */
#ifndef SOCKETD_EXCHANGE_H
#define SOCKETD_EXCHANGE_H

#include "answer.h"
#include "front/note.h"
#include "service.h"

#include <stdint.h>

enum { EXCHANGE_POLLS = 3 };

struct exchange {
    const struct service *service;
    enum {
        EXCHANGE_OVER, /* nothing of it is left, and its end is in the output */
        EXCHANGE_RUNNING,
        EXCHANGE_ENDING, /* its processes have been told to end */
    } phase;
    bool has_told_of_left_out; /* on this connection: once is enough */
    struct note left_out;
    bool is_killed;
    bool has_left_some; /* programs that work on, though their requests are over */
    uint64_t leave_ms;  /* when one that has closed all is left to itself; 0: it has not */
    bool has_crashed; /* a copy of this process, if those carry out requests */
    uint64_t deadline_ms; /* for the request, then for its processes to end; 0: none */
    uint64_t answer_deadline_ms; /* for the first byte of its answer; 0: none */
    uint64_t body_taken;         /* so many bytes */
    char trace[REQUEST_TRACE_SIZE];
    struct backend backend;
    struct answer answer;
};

/* Carry out a request, which also takes that it cannot be: it is over then, and answered. */
void exchange_start(struct exchange *exchange, uint16_t request_id, struct request *request,
                    bool has_body);

/* Answer a request that is not carried out. */
void exchange_refuse(struct exchange *exchange, uint16_t request_id,
                     const struct refusal *refused, const struct request *request);

/* Take a piece of the body. Returns how much has been taken. */
size_t exchange_write(struct exchange *exchange, const void *piece, size_t length);

/* The body has ended. */
void exchange_end_body(struct exchange *exchange);

/* The web server does not want it any more: end it, or let it finish with what there is of its body. */
void exchange_desert(struct exchange *exchange);

/* End the processes that carry it out; it is over once they are. */
void exchange_terminate(struct exchange *exchange);

/* Say what to wait for; `has_piece` is whether a piece of the body has not been taken whole. */
void exchange_watch(const struct exchange *exchange, bool has_piece,
                    struct pollfd polls[EXCHANGE_POLLS]);

/* Return for how many milliseconds at most, -1 for ever. */
int exchange_patience(const struct exchange *exchange);

/* Act on what poll() has found, and on the end of processes. */
void exchange_advance(struct exchange *exchange, const struct pollfd polls[EXCHANGE_POLLS]);

#endif
