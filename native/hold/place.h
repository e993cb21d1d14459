/*
 * Where a signal has interrupted the program.
 *
 * Owns the reading of saved registers. Must not know what is done there.
 */
#ifndef SOCKETD_PLACE_H
#define SOCKETD_PLACE_H

enum place {
    PLACE_ELSEWHERE,
    PLACE_READ, /* a read of descriptor 0, which the kernel is about to make anew */
    PLACE_POLL, /* a poll or select, which is about to fail with EINTR */
};

/* `context` is what a handler with SA_SIGINFO and SA_RESTART gets. */
enum place place_find(const void *context);

#endif
