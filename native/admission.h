/*
 * Whether a client may come in, asked between accept() and the moment when the master is told.
 *
 * Owns the reading of the gate, and what a client hears who is sent away. Must not know where rules
 * come from, nor what a worker does next.
 */
#ifndef SOCKETD_ADMISSION_H
#define SOCKETD_ADMISSION_H

#include "address.h"
#include "board.h"
#include "doorbell.h"

#include <stdbool.h>

enum { ADMISSION_VARIABLES = 16, ADMISSION_TEXTS_SIZE = 2048, ADMISSION_REFUSAL_SIZE = 512 };

struct admission {
    bool is_granted;
    enum gate_reason reason;                    /* if it is not */
    uint32_t header_limit_ms;                   /* it is a proxy, and to say for whom it comes */
    size_t count;                               /* of variables, if it is */
    size_t refusal_size;                        /* of what it hears if it is sent away */
    const char *variables[ADMISSION_VARIABLES]; /* in `texts` */
    char refusal[ADMISSION_REFUSAL_SIZE];
    char texts[ADMISSION_TEXTS_SIZE];
};

/* Look what the gate says of who has connected. If that is a proxy, ask again for whom it comes. */
void admission_meet(struct admission *admission, const struct gate *gate,
                    const struct peer *who);

/* Look what the gate says of a client. What is wrong in there is read as a refusal: all who may write
 * there are of the service itself. */
void admission_decide(struct admission *admission, const struct gate *gate,
                      const struct peer *client);

/* Refuse a client that the rules let in. */
void admission_refuse(struct admission *admission, enum gate_reason reason);

/* Send a client away, as far as that does not take any time, and count it. Closes the connection. All
 * signals are to be blocked. */
void admission_send_away(const struct admission *admission, struct gate *gate,
                         const struct doorbell *doorbell, const struct peer *client,
                         const struct peer *proxy, int connection);

/* Write down a client, for the master. */
void admission_write_peer(struct board_peer *written, const struct peer *peer);

#endif
