/*
 * A small parent that stays behind a program: it waits for the program's end, says farewell on the
 * connection, and ends as the program has.
 *
 * Owns its birth, what becomes of signals meanwhile, and its end. Must not know what the program is.
 */
#ifndef SOCKETD_KEEPER_H
#define SOCKETD_KEEPER_H

#include "farewell.h"

#include <stdbool.h>
#include <sys/types.h>

struct keeper {
    int connection;
    const struct farewell *farewell;
    pid_t group_sender; /* what this process sends has gone to the program as well; or 0 */
};

/* What the zygote is called as to be a keeper, and what it then reads. */
#define KEEPER_NAME "socketd-keeper"
struct keeper_order {
    pid_t program;
    pid_t group_sender;
    struct farewell farewell;
};

/*
 * Divide this process: returns 0 in the child, which is to be the program, and the child's id in
 * the parent. Where there can be no child, this process is the program, and nobody stays behind it.
 * The disposition of SIGCHLD is to be the default. All signals are blocked afterwards, in both.
 */
pid_t keeper_divide(void);

/* Stay behind a child to its end. The caller has closed whatever must not be kept meanwhile. */
_Noreturn void keeper_stay(const struct keeper *keeper, pid_t program);

/* The beginning of that: wait for the program's end, for so long. Returns whether it has come, with
 * its status of wait(2). */
bool keeper_watch(const struct keeper *keeper, pid_t program, int limit_ms, int *status);

/* The rest of that, once the program has ended and what it has said is sent. */
_Noreturn void keeper_part(const struct keeper *keeper, int status);

/* End as a process has whose status of wait(2) this is. */
_Noreturn void keeper_end_like(int status);

#endif
