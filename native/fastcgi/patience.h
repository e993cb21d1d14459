/*
 * For how long a web server may leave a connection without a request to carry out.
 *
 * Owns the two limits and the moment at which one of them is over. Must not know of records, nor
 * what is done then.
 *
 * The head of a request has a limit from the first byte that has come since the request before it,
 * of whatever that byte is part; on a new connection, from its beginning. A kept connection on
 * which nothing comes at all has a limit of its own. Each is a moment and no time of silence: a
 * byte now and then does not put it off.
 */
#ifndef SOCKETD_FCGI_PATIENCE_H
#define SOCKETD_FCGI_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

enum patience_for {
    PATIENCE_FOR_NOTHING, /* a request is carried out */
    PATIENCE_FOR_SENDING, /* an answer has still to be taken, and nothing has come */
    PATIENCE_FOR_SILENCE, /* between requests, and nothing has come */
    PATIENCE_FOR_A_HEAD,  /* something has come, but no request that is complete */
};

struct patience {
    int head_limit_ms;
    int keep_limit_ms;
    enum patience_for what;
    uint64_t deadline_ms; /* 0: none */
    bool is_over;         /* the last limit: only a farewell's time is left */
};

/* A connection has begun. */
void patience_begin(struct patience *patience);

/* Say what is waited for now. */
void patience_wait_for(struct patience *patience, enum patience_for what);

/* Return for how many milliseconds at most to wait, -1 for ever. */
int patience_left_ms(const struct patience *patience);

/* From now on nothing is waited for but that what has been said is taken, for `limit_ms`. */
void patience_end(struct patience *patience, int limit_ms);

#endif
