/*
 * The web server: says what the input chooses, in pieces, and takes the answers.
 *
 * Owns its ends of the connection, and what has been said. Does one thing in each turn, and never
 * waits.
 */
#ifndef SOCKETD_FUZZ_CLIENT_H
#define SOCKETD_FUZZ_CLIENT_H

#include "input.h"

enum client_state {
    CLIENT_ACTED,   /* and has more to do */
    CLIENT_WAITING, /* for an answer, or for room */
    CLIENT_SILENT,  /* it has said all, and all is answered, or cannot be */
};

/* What requests of this input are made for. */
struct client_service {
    const uint8_t *plan;
    size_t steps;
    bool is_pool;
    bool is_tcp;      /* the pool's side: a reset may cost an answer there */
    bool is_missing;  /* the program */
    const char *path; /* what a request says that it wants, or NULL */
};

/* Begin to speak; `in` may be `out`. Both are the client's to close. */
void client_begin(int in, int out, const struct client_service *service, struct input *input);

/* Do one thing. */
enum client_state client_turn(void);

/* Give up step by step: end the sending, then close. Returns false if nothing is left to give up. */
bool client_lose_patience(void);

/* The other side has been closed: take what is left. */
void client_end(void);

#endif
