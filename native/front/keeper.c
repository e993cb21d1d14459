/*
 * To others this process is the program: they know its id, and its group is the program's, too. So
 * what they send to it is passed on. What has gone to the whole group is not: the master's signals
 * but for the retire signal, by which it asks this process alone to take on nothing more, and the terminal's.
 *
 * The program does not outlive it. As without a keeper, SIGKILL for the process that the master knows
 * is the end of the program (PR_SET_PDEATHSIG).
 */
#include "keeper.h"

#include "clock.h"
#include "pool_signals.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

pid_t keeper_divide(void)
{
    const pid_t own = getpid();
    sigset_t all;
    pid_t program;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    program = fork();
    if (program < 0)
        return 0;
    if (program == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != own)
            _exit(0);
    }
    return program;
}

static bool is_for_program(const struct keeper *keeper, const siginfo_t *came)
{
    if (came->si_signo == SIGCHLD || came->si_code > 0) /* SI_KERNEL among others */
        return false;
    return came->si_signo == RETIRE_SIGNAL || !keeper->group_sender ||
           came->si_pid != keeper->group_sender;
}

/* Wait for a signal, up to a deadline in milliseconds or 0 for none. Returns false when it is over. */
static bool wait_for_signal(uint64_t deadline_ms, siginfo_t *came)
{
    const uint64_t now = clock_ms();
    const uint64_t left_ms = deadline_ms > now ? deadline_ms - now : 0;
    const struct timespec left = {.tv_sec = (time_t)(left_ms / 1000),
                                  .tv_nsec = (long)(left_ms % 1000) * 1000000L};
    sigset_t all;

    sigfillset(&all);
    came->si_signo = 0;
    if (!deadline_ms)
        return sigwaitinfo(&all, came) > 0 || errno == EINTR;
    return sigtimedwait(&all, came, &left) > 0 || errno == EINTR;
}

static bool wait_for_end(const struct keeper *keeper, pid_t program, uint64_t deadline_ms,
                         int *status)
{
    siginfo_t came;
    pid_t ended;

    while ((ended = waitpid(program, status, WNOHANG)) == 0) {
        if (!wait_for_signal(deadline_ms, &came))
            return false;
        if (came.si_signo && is_for_program(keeper, &came))
            kill(program, came.si_signo);
    }
    if (ended < 0)
        _exit(0); /* it has been waited for already */
    return true;
}

bool keeper_watch(const struct keeper *keeper, pid_t program, int limit_ms, int *status)
{
    return wait_for_end(keeper, program, clock_ms() + (uint64_t)limit_ms, status);
}

static void cut_short(int number)
{
    (void)number; /* ppoll() has returned: that is all */
}

/* Signals to end, which the program would have died of, end the wait for its client. */
static void let_signals_end(sigset_t *while_waiting)
{
    static const int numbers[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    const struct sigaction action = {.sa_handler = cut_short};

    sigfillset(while_waiting);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        sigdelset(while_waiting, numbers[i]);
        sigaction(numbers[i], &action, NULL);
    }
}

_Noreturn void keeper_stay(const struct keeper *keeper, pid_t program)
{
    int status = 0;

    prctl(PR_SET_NAME, "socketd-keeper");
    while (!wait_for_end(keeper, program, 0, &status))
        continue;
    keeper_part(keeper, status);
}

_Noreturn void keeper_part(const struct keeper *keeper, int status)
{
    sigset_t while_waiting;

    let_signals_end(&while_waiting);
    farewell_say(keeper->connection, keeper->farewell, &while_waiting);
    keeper_end_like(status);
}

_Noreturn void keeper_end_like(int status)
{
    const struct sigaction usual = {.sa_handler = SIG_DFL};
    sigset_t one;

    if (!WIFSIGNALED(status))
        _exit(WEXITSTATUS(status));
    /* One core, the program's, is enough. A limit of its size would not do where a program takes
     * cores, see core(5). */
    prctl(PR_SET_DUMPABLE, 0);
    sigemptyset(&one);
    sigaddset(&one, WTERMSIG(status));
    sigaction(WTERMSIG(status), &usual, NULL);
    kill(getpid(), WTERMSIG(status));
    sigprocmask(SIG_UNBLOCK, &one, NULL);
    _exit(128 + WTERMSIG(status)); /* a signal that does not end this process */
}
