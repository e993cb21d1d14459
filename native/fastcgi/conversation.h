/*
 * What a web server says over one connection: requests, one after another.
 *
 * Owns what a record means at which moment. Must not know how records are written, programs started
 * or descriptors read, nor for how long anything is waited for.
 */
#ifndef SOCKETD_CONVERSATION_H
#define SOCKETD_CONVERSATION_H

#include "connection.h"
#include "exchange.h"
#include "front/choice.h"
#include "params.h"
#include "patience.h"
#include "service.h"
#include "values.h"

enum {
    CONVERSATION_BEGIN_SIZE = 8, /* of the content of BEGIN_REQUEST */
    CONVERSATION_NAME_SIZE = 33, /* of what a connection is called, with the NUL */
};

enum phase {
    PHASE_IDLE,   /* between requests */
    PHASE_PARAMS, /* a request has begun */
    PHASE_READY,  /* its variables are complete; whether it has a body is about to be seen */
    PHASE_CARRIED_OUT,
};

struct conversation {
    const struct service *service;
    char name[CONVERSATION_NAME_SIZE]; /* of the connection; empty if it has none */
    unsigned requests; /* that have been carried out */
    char entry[sizeof "UNIQUE_ID=-4294967295" + CONVERSATION_NAME_SIZE]; /* of the one of now */
    struct connection connection;
    struct record_decoder decoder;
    struct record record; /* that is being decoded */
    bool is_wanted;       /* its content; else it is dropped */
    bool is_put_off;      /* it begins the next request, and waits for the end of this one */
    size_t begin_size;
    unsigned char begin[CONVERSATION_BEGIN_SIZE];
    struct values values;
    enum phase phase;
    uint16_t request_id;
    bool is_kept; /* the connection, after the request */
    bool has_body_ended;
    bool has_piece;  /* of the body, that could not be taken yet */
    bool is_prepared; /* what the next request is carried out by */
    bool is_used;    /* a request has begun */
    bool is_handed_on; /* the connection, to another process */
    bool is_closing; /* no further request is read */
    bool is_given_up; /* and what is said last need not be waited for */
    int failure;      /* an error number: nothing can be waited for */
    struct patience patience;
    struct params params;
    struct choice choice; /* of the request that comes next; see foresight.h */
    struct exchange exchange;
};

/* Do all that can be done without waiting. */
void conversation_proceed(struct conversation *conversation);

/* Nothing more can be understood, or the web server is gone. */
void conversation_give_up(struct conversation *conversation);

/* The head of a request has not come in time. A request that has begun is answered so. */
void conversation_end_late(struct conversation *conversation);

/* Tell whether anything has come of a request that is not complete. */
bool conversation_has_begun(const struct conversation *conversation);

#endif
