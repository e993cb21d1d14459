/*
 * A small parent that stays behind a program: it carries what has to be carried, waits for the program's
 * end, says farewell on the connection, and ends as the program has.
 *
 * Owns its birth, what becomes of signals meanwhile, the end of a program whose client has gone
 * or that does not answer in time, what a client hears whose program was ended before it has answered,
 * and its own end. Must not know what the program is, nor how bytes are carried.
 */
#ifndef SOCKETD_KEEPER_H
#define SOCKETD_KEEPER_H

#include "carry.h"
#include "refusal.h"

#include <stdbool.h>
#include <sys/types.h>

/* What the zygote is called as to go on as a keeper, which it then reads. */
#define KEEPER_NAME "socketd-keeper"

/* Nothing in it is a pointer, as in a carriage. */
struct keeper {
    struct carriage carriage;
    pid_t program;
    pid_t group;        /* of its processes */
    pid_t group_sender; /* what this process sends has gone to the program as well; or 0 */
    int kill_ms;        /* between SIGTERM and SIGKILL, for a program that is told to end */
    uint64_t due_ms;    /* when to send the next of the two; 0: neither */
    bool is_told;
    bool was_signalled; /* somebody wants its end */
    uint64_t speak_at_ms; /* when to answer in place of a program that does not end for that; 0: never */
    bool has_ended;
    int status; /* of wait(2) */
};

/*
 * Divide this process: returns 0 in the child, which is to be the program, and the child's id in
 * the parent. Where there can be no child, this process is the program, and nobody stays behind it.
 * The disposition of SIGCHLD is to be the default. All signals are blocked afterwards, in both.
 */
pid_t keeper_divide(void);

/* Stay behind a child to its end. The caller has closed whatever must not be kept meanwhile. */
_Noreturn void keeper_stay(struct keeper *keeper);

/* The beginning of that, for so long. Returns whether all is over. */
bool keeper_run(struct keeper *keeper, int limit_ms);

/* The beginning of that for a program which has a limit to begin its answer: returns once that is over,
 * unless all is over before. Returns the refusal if nothing has come: the client has been told, and the
 * program is told to end. */
const struct refusal *keeper_wait_for_answer(struct keeper *keeper, int limit_ms);

/* For who has done that itself: say farewell after a program has ended, and end as it has. */
_Noreturn void keeper_part(int connection, const struct farewell *farewell, int status);

/* End as a process has whose status of wait(2) this is. */
_Noreturn void keeper_end_like(int status);

#endif
