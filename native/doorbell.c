/*
 * Ringing the master: by signal, or by the byte that the signal would have put into its self-pipe. It
 * may hold the signal back, but not the byte.
 */
#include "doorbell.h"

#include "direct.h"
#include "pool_signals.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

/* The signal of a failed write is thread-directed, so it is pending by now. Left there, it would
 * kill the program that is about to be exec'd, although that one has never written. */
static void discard_sigpipe(void)
{
    const struct timespec no_wait = {0, 0};
    sigset_t pipe_only;

    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    sigtimedwait(&pipe_only, NULL, &no_wait);
}

static void write_byte(const struct doorbell *doorbell)
{
    const char byte = RING_SIGNAL;

    /* A full pipe (EAGAIN) rings already. */
    if (write(doorbell->fd, &byte, 1) < 0 && errno == EPIPE)
        discard_sigpipe();
}

void doorbell_ring(const struct doorbell *doorbell)
{
    /* All callers are children of the master. Once it is dead its pid may be reused. */
    if (direct_getppid() != doorbell->master)
        return;
    /* A worker that has given up root may not signal a master that has not. */
    if (kill(doorbell->master, RING_SIGNAL) == 0 || errno != EPERM)
        return;
    write_byte(doorbell);
}

void doorbell_ring_at_once(const struct doorbell *doorbell)
{
    write_byte(doorbell);
}
