/*
 * What the master has asked of this process, and how it is kept from the program.
 *
 * Owns the variables LD_PRELOAD and SOCKETD_HOLD: reading them, hiding them, handing them on to
 * what the program execs before it is held. Must not know how a program is held.
 *
 *     SOCKETD_HOLD=the bytes of a struct first_call, each as two hexadecimal digits
 *     LD_PRELOAD=OBJECT[:WHAT WAS THERE BEFORE]
 */
#ifndef SOCKETD_CALL_H
#define SOCKETD_CALL_H

#include "plan.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define FIRST_CALL_MAGIC UINT32_C(0x736B6801)

/* What has to be known before the program is held; the rest comes with the descriptors, in the plan.
 * socketd/workers/plan.py has the layout, too. */
struct first_call {
    uint32_t magic;
    uint32_t level;
    int32_t master;
    int32_t signal;
    uint32_t has_front;
    uint32_t is_run_on_trial; /* a copy on trial goes on in the program */
    uint64_t log_inode; /* of standard error, if that is the system's log; 0 if not */
};

static_assert(offsetof(struct first_call, level) == 4 && offsetof(struct first_call, master) == 8 &&
                  offsetof(struct first_call, signal) == 12 &&
                  offsetof(struct first_call, has_front) == 16 &&
                  offsetof(struct first_call, log_inode) == 24 && sizeof(struct first_call) == 32,
              "the master writes it so");

struct call {
    bool is_open;  /* this process is to be held, and is not yet */
    pid_t process; /* the one that is meant, not a child of it */
    struct first_call first;
    char keeper[PATH_MAX]; /* the program that stays behind a copy: it lies beside our object */
};

extern struct call call;

/* Read the call and take it out of the environment. False if there is none for this process. */
bool call_take(void);

/* True as long as this very process waits to be held. */
bool call_is_waiting(void);

/* Return the environment for an exec of this process: with the call in it, if it waits. The new
 * entries are kept in `space`, which has to be as large as call_space() says; 0 means that the
 * base will do as it is. */
size_t call_space(char *const base[]);
char **call_add(char *const base[], void *space);

#endif
