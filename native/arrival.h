/*
 * Who has come by a connection, and whether it may come in.
 *
 * Owns the order: who has connected, what a proxy says, what the gate says of the client, whether it has
 * a place; and what a program is told of all that. Must not know how a connection is made, nor
 * what becomes of it, nor the worker's signals.
 */
#ifndef SOCKETD_ARRIVAL_H
#define SOCKETD_ARRIVAL_H

#include "address.h"
#include "board.h"
#include "doorbell.h"
#include "environment.h"
#include "place.h"
#include "proxy.h"
#include "queue.h"

#include <stdbool.h>

/* Who has come, and by which proxy. Without one the family of that is AF_UNSPEC. */
struct arrival {
    int connection;
    struct peer client;
    struct peer proxy;
    struct turn turn;
    bool is_silent;           /* the proxy has not said yet for whom it comes */
    bool is_described;        /* it has, in the header */
    bool is_judged;           /* rules are in force, and have let the client in */
    uint64_t queue_begin_ns;  /* since when it waits for a place, 0 if that is not known yet */
    uint64_t queue_end_ns;    /* until when it may, by the limits that have left it none */
    enum proxy_verdict heard; /* of a header that was waited for */
};

/* Tell whether the rules alone let a client in. */
bool arrival_is_welcome(const struct gate *gate, const struct peer *client);

/* Write the client of a connection down if it may come in, or a proxy that has not said yet for whom it
 * comes. False if it may not. `client` is known. All signals are to be blocked, as for what follows. */
bool arrival_let_in(struct arrival *arrival, const struct place *place, int connection);

/* Tell whether somebody who has not come in may wait for a place, and begin to watch for one. */
bool arrival_may_queue(struct arrival *arrival, const struct board *board,
                       struct queue_watch *watch);

/* Decide again on somebody who had no place; as by arrival_let_in(). */
bool arrival_ask_again(struct arrival *arrival, const struct place *place);

/* Tell whether something has to be waited for before the client can be served: for what a silent proxy
 * has to say, or for the client's turn. */
bool arrival_is_to_wait(const struct arrival *arrival);

/* Tell whether the listener is needed behind that wait. */
bool arrival_needs_listener(const struct arrival *arrival, const struct board *board);

/* Wait, as long as that may take. Signals may be let through. */
void arrival_wait(struct arrival *arrival);

/* Decide behind a wait. False if the client may not come in. */
bool arrival_settle(struct arrival *arrival, const struct place *place);

/* Close the connection of a client that may not come in. Nobody else hears of it but by the gate. */
void arrival_send_away(const struct arrival *arrival, const struct board *board,
                       const struct doorbell *doorbell);

/* Add what a program is told of its connection. */
void arrival_describe(const struct arrival *arrival, const struct place *place,
                      struct environment *environment);

#endif
