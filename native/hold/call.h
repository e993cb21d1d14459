/*
 * What the master has asked of this process, and how it is kept from the program.
 *
 * Owns the variables LD_PRELOAD and SOCKETD_HOLD: reading them, hiding them, handing them on to
 * what the program execs before it is held. Must not know how a program is held.
 *
 *     SOCKETD_HOLD=LEVEL:MASTER:SIGNAL:HEAD:LINGER:NAMES:LOG[:SOFT:HARD]
 *         load|read|stop, process id, number, milliseconds for the head of an SCGI
 *         request or 0 without a front, milliseconds for which somebody stays behind a copy or
 *         0, the names that a request may set (front/names.h) or nothing for all, inode of the
 *         socket that leads to the system's log or 0, limits of a copy on processor time
 *     LD_PRELOAD=OBJECT[:WHAT WAS THERE BEFORE]
 */
#ifndef SOCKETD_CALL_H
#define SOCKETD_CALL_H

#include <limits.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

enum level { LEVEL_NONE, LEVEL_LOAD, LEVEL_READ, LEVEL_STOP };

struct call {
    enum level level; /* NONE: this process is not to be held, or has been */
    pid_t process;    /* the one that is meant, not a child of it */
    pid_t master;
    int signal;
    int head_limit_ms;
    int linger_ms;
    char keeper[PATH_MAX]; /* the program that stays behind a copy: it lies beside our object */
    const char *allowed_names;
    ino_t log_inode; /* of standard error, if that is the system's log; 0 if not */
    bool has_cpu_limit;
    struct rlimit cpu_limit;
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
