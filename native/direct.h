/*
 * System calls of every worker by the one function of libc that makes them all. The wrapper of each is
 * in a part of libc of its own, which a copy of a program would have to fault in.
 *
 * Owns nothing. Must not know what they are good for.
 */
#ifndef SOCKETD_DIRECT_H
#define SOCKETD_DIRECT_H

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static inline pid_t direct_getppid(void)
{
#ifdef SYS_getppid
    return (pid_t)syscall(SYS_getppid);
#else
    return getppid();
#endif
}

/* The monotonic time. By way of the vDSO, too, there would be pages to be faulted in. */
static inline struct timespec direct_now(void)
{
    struct timespec now;

    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return now;
}

static inline uint64_t direct_now_ns(void)
{
    const struct timespec now = direct_now();

    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* Through signals that are handled: what is left of the time is slept then. */
static inline void direct_sleep(uint64_t ns)
{
    struct timespec left = {.tv_sec = (time_t)(ns / 1000000000U), .tv_nsec = (long)(ns % 1000000000U)};

    while (syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &left, &left) < 0 && errno == EINTR)
        ;
}

static inline void direct_lead_group(void)
{
    syscall(SYS_setpgid, 0, 0);
}

/* As by sigprocmask(SIG_SETMASK): a set of libc begins with that of the kernel, which may be smaller. */
static inline void direct_set_mask(const sigset_t *set, sigset_t *before)
{
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, set, before, (size_t)_NSIG / 8);
}

#endif
