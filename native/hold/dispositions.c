/*
 * The system call is made directly: libc refuses the two signals that it keeps for itself, and
 * adds a trampoline of its own. So a disposition is a few bytes that go back as they came.
 *
 * The template does this once. Its copies are then born with the defaults, and one that has a
 * connection makes a call only for each signal that the program had changed.
 */
#include "dispositions.h"

#include "pool_signals.h"

#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SIGNALS = 64, DISPOSITION_SIZE = 64, MASK_SIZE = 8 };

struct disposition {
    int number;
    _Alignas(long) unsigned char bytes[DISPOSITION_SIZE];
};

static struct disposition changed[SIGNALS];
static int changes;

static const _Alignas(long) unsigned char usual[DISPOSITION_SIZE]; /* SIG_DFL, no flags */

static long set(int number, const void *now, void *before)
{
    return syscall(SYS_rt_sigaction, number, now, before, (size_t)MASK_SIZE);
}

/* 32 and 33 may be ignored since long before us, which survives every exec; the zygote does the
 * same for all signals. */
void dispositions_reset_reserved(void)
{
    for (int number = 32; number <= 33; number++)
        set(number, usual, NULL);
}

void dispositions_put_aside(int own)
{
    changes = 0;
    for (int number = 1; number <= SIGNALS; number++) {
        struct disposition *before = &changed[changes];

        if (number == SIGKILL || number == SIGSTOP)
            continue;
        memset(before->bytes, 0, DISPOSITION_SIZE);
        if (set(number, usual, before->bytes) < 0 || number == own)
            continue;
        if (memcmp(before->bytes, usual, DISPOSITION_SIZE) == 0)
            continue;
        before->number = number;
        changes++;
    }
}

void dispositions_give_back(void)
{
    /* Setting the retire signal to its default, which is to be ignored, discards one that waits. */
    set(RETIRE_SIGNAL, usual, NULL);
    for (int i = 0; i < changes; i++)
        set(changed[i].number, changed[i].bytes, NULL);
}
