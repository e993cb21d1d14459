/*
 * Deadlines within a connection: monotonic milliseconds. How long to wait for one is what poll() takes:
 * -1 is for ever.
 */
#ifndef SOCKETD_CLOCK_H
#define SOCKETD_CLOCK_H

#include <limits.h>
#include <stdint.h>
#include <time.h>

static inline uint64_t clock_in_ms(struct timespec time)
{
    return (uint64_t)time.tv_sec * 1000U + (uint64_t)time.tv_nsec / 1000000U;
}

static inline uint64_t clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return clock_in_ms(now);
}

/* Return how long it is until a moment, 0 once that is over. */
static inline int clock_left_ms(uint64_t at_ms, uint64_t now_ms)
{
    if (now_ms >= at_ms)
        return 0;
    return at_ms - now_ms > INT_MAX ? INT_MAX : (int)(at_ms - now_ms);
}

/* Return the shorter of two waits. */
static inline int clock_sooner(int one_ms, int other_ms)
{
    return one_ms < 0 || (other_ms >= 0 && other_ms < one_ms) ? other_ms : one_ms;
}

#endif
