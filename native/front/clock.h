/*
 * Deadlines within a connection: monotonic milliseconds.
 */
#ifndef SOCKETD_CLOCK_H
#define SOCKETD_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000U + (uint64_t)now.tv_nsec / 1000000U;
}

#endif
