/*
 * What a program, or a pool, does with its request; and what must come of it.
 *
 * Owns the form of a plan. The first half of a byte is what is done, the second an argument.
 */
#ifndef SOCKETD_FUZZ_PLAN_H
#define SOCKETD_FUZZ_PLAN_H

#include <stddef.h>
#include <stdint.h>

enum plan_step {
    PLAN_READ,         /* 1 << argument bytes of the body, or what there is of them */
    PLAN_WRITE,        /* as many bytes */
    PLAN_COMPLAIN,     /* the same to standard error; a pool has none */
    PLAN_COPY,         /* the body to its end */
    PLAN_CLOSE,        /* descriptor argument % 3 */
    PLAN_LEAVE_BEHIND, /* a process that keeps what is open as long as somebody reads it */
    PLAN_EXIT,         /* with the argument as status; a pool closes */
    PLAN_DIE,          /* by a signal; a pool resets */
    PLAN_HOLD_OUT,     /* ignore SIGTERM */
    PLAN_DAWDLE,       /* some milliseconds, or until somebody ends it */
    PLAN_STEPS,
};

enum {
    PLAN_MOST = 12,
    PLAN_LONGEST_SHIFT = 16, /* of a piece: more than a pipe or an output buffer holds */
    PLAN_DAWDLE_MS = 3,
    PLAN_FOR_EVER = 15, /* as an argument of that */
    PLAN_FOR_EVER_MS = 60000,
    PLAN_BEHIND_MS = 20,
    PLAN_SIGNALS = 4,
};

static const int plan_signals[PLAN_SIGNALS] = {9, 15, 13, 10};

static inline enum plan_step plan_step(unsigned byte)
{
    return (enum plan_step)((byte >> 4) % PLAN_STEPS);
}

static inline size_t plan_length(unsigned byte)
{
    return (size_t)1 << (byte % 16 + (byte % 16 == 15)); /* up to 1 << 14, and 1 << 16 */
}

/* The byte at a place of what is written. */
static inline unsigned char plan_pattern(size_t place)
{
    return (unsigned char)('a' + place % 26);
}

#endif
