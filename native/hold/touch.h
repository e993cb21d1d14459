/*
 * Pages of a copy's own, ahead of time.
 *
 * A copy shares each page with its template until one of them writes to it. That costs two
 * microseconds in the middle of something else; so what every copy will write to between its
 * connection and the program it touches while there is no client.
 */
#ifndef SOCKETD_TOUCH_H
#define SOCKETD_TOUCH_H

#include <stddef.h>

enum { SMALLEST_PAGE = 4096 };

/* Write to each page of an object, what is there. */
static inline void touch(void *start, size_t size)
{
    volatile char *bytes = start;

    for (size_t at = 0; at < size; at += SMALLEST_PAGE)
        bytes[at] = bytes[at];
    bytes[size - 1] = bytes[size - 1];
}

#endif
