/*
 * What a program has in place of its connection, and the bytes between the two.
 *
 * Owns the descriptors 0 and 1 of a program that has a request, and what of them is carried by a parent
 * that stays behind it (keeper.h). Must not know of processes and signals.
 *
 * A program has the connection itself for its answer, and an input that ends: nothing if there is no
 * body, and a body that is there already and small lies in a pipe. Any other body is carried into a
 * pipe, and the answer out of one, which waits as early.h says.
 *
 * Nothing in it is a pointer: one that another program is to go on with is handed over as it is.
 */
#ifndef SOCKETD_CARRY_H
#define SOCKETD_CARRY_H

#include "early.h"
#include "farewell.h"
#include "flow.h"

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#define CARRY_TO_THE_END UINT64_MAX /* the length of a body that ends with what its client sends */

enum { CARRY_POLLS = 3, CARRY_FDS = 5 };

/* What becomes of the program if its client has gone, as far as somebody is there who would see it. */
enum carry_watch { CARRY_UNWATCHED, CARRY_TO_END, CARRY_TO_FINISH };

struct carriage {
    int connection;  /* -1: nothing of it is left */
    bool is_carried; /* else the program has the connection itself */
    bool is_gone;    /* the client */
    bool has_answered;
    bool is_parting; /* the answer has been sent, and what is still said is dropped */
    bool is_half_closed; /* the client says no more */
    enum carry_watch watch;
    struct flow input;   /* from the connection; its sink is -1 once it is over */
    struct flow output;  /* from the program; its source is -1 once it is over */
    struct flow waiting; /* what of the answer waits: a pipe, from one end of it to the connection */
    int room;            /* its other end; -1: there is none */
    uint64_t body_left;
    struct early early;
    struct farewell farewell;
    uint64_t look_at_ms;  /* when to look again whether a client that says no more has gone; 0: not */
    uint64_t part_at_ms;  /* the ends of parting: of all of it, and of silence */
    uint64_t silent_at_ms;
};

/* What the program is to have. */
struct carry_ends {
    int input;
    int output;
};

/* The program keeps its connection as it is; somebody stays behind it who says farewell. */
void carry_leave_alone(struct carriage *carriage, int connection);

/* Begin for a request whose body has `length` bytes, of which none has been read. With `is_seen` the
 * program never has the connection itself: it may finish though its client has gone, or has a time to
 * answer. Returns false, with errno, if the system does not have what it takes. */
bool carry_begin(struct carriage *carriage, int input, int output, uint64_t length, bool is_seen,
                 struct carry_ends *ends);

/* In the program: close what is not its own. */
void carry_leave(const struct carriage *carriage, const struct carry_ends *ends);

/* Have its descriptors above those that are standard. */
void carry_lift(struct carriage *carriage);

/* List the descriptors that belong to it. */
int carry_list(const struct carriage *carriage, int fds[CARRY_FDS]);

/* Say what to wait for, and for how long at most, -1 for ever. */
int carry_wait(const struct carriage *carriage, struct pollfd polls[CARRY_POLLS], uint64_t now_ms);

/* Act on what poll() has found; `has_ended` is whether the program has. */
void carry_advance(struct carriage *carriage, const struct pollfd polls[CARRY_POLLS],
                   bool has_ended, uint64_t now_ms);

/* Tell whether the program's output is over without a byte of an answer. So it stays until the client is
 * told something, or parted from. */
bool carry_is_unanswered(const struct carriage *carriage);

/* Send no more, and go once the client has nothing more to say. */
void carry_part(struct carriage *carriage, uint64_t now_ms);

/* Answer in place of a program that has not, and part; what it says from now on is lost. Returns false,
 * and changes nothing, if it has begun to answer, or nobody is there who would be told. */
bool carry_answer(struct carriage *carriage, const char *answer, size_t size, uint64_t now_ms);

/* The program is to end as well: nothing of it is carried any more. */
void carry_drop(struct carriage *carriage);

/* Tell whether nothing is left to be carried or said. */
bool carry_is_over(const struct carriage *carriage);

#endif
