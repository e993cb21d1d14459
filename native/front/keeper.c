/*
 * To others this process is the program: they know its id, and its group is the program's, too. So
 * what they send to it is passed on. What has gone to the whole group is not: the master's signals
 * but for the retire signal, by which it asks this process alone to take on nothing more, and the terminal's.
 *
 * A program that is ended so before it has begun to answer leaves a client that hears nothing: it hears of
 * this process why. Of a program that does not end for SIGTERM it hears before the master sends SIGKILL,
 * which ends this process as well.
 *
 * The program does not outlive it. As without a keeper, SIGKILL for the process that the master knows
 * is the end of the program (PR_SET_PDEATHSIG).
 */
#include "keeper.h"

#include "clock.h"
#include "exits.h"
#include "pool_signals.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define NEVER UINT64_MAX

enum {
    GRACE_MS = 1000,
    LAST_TENTH = 10, /* of the time to the master's SIGKILL, which began somewhat earlier */
};

static const int ends[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};

enum { ENDS = sizeof ends / sizeof *ends };

static bool is_end(int number)
{
    for (size_t i = 0; i < ENDS; i++)
        if (ends[i] == number)
            return true;
    return false;
}

/* What was sent to the group before the child was there waits here alone. What came later it gets twice,
 * which is once: it blocks all signals as well, so far. */
static void share_pending(pid_t program)
{
    sigset_t pending;

    sigpending(&pending);
    for (size_t i = 0; i < ENDS; i++)
        if (sigismember(&pending, ends[i]) == 1)
            kill(program, ends[i]);
}

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
    } else
        share_pending(program);
    return program;
}

/* Tell whether a signal is to be passed on. */
static bool is_for_program(const struct keeper *keeper, const struct signalfd_siginfo *came)
{
    const pid_t sender = (pid_t)came->ssi_pid;

    if (came->ssi_signo == SIGCHLD || came->ssi_code > 0) /* SI_KERNEL among others */
        return false;
    return came->ssi_signo == RETIRE_SIGNAL ||
           (sender != keeper->group_sender && sender != getpid());
}

/* Somebody else wants the program's end. */
static void note_end(struct keeper *keeper, const struct signalfd_siginfo *came, uint64_t now_ms)
{
    keeper->was_signalled = true;
    if (!keeper->speak_at_ms && came->ssi_signo == SIGTERM &&
        (pid_t)came->ssi_pid == keeper->group_sender)
        keeper->speak_at_ms = now_ms + (uint64_t)(keeper->kill_ms - keeper->kill_ms / LAST_TENTH);
}

/* Signals to end, which the program would have died of, end what is left to be done after it. */
static void take_signals(struct keeper *keeper, int signals_fd, uint64_t now_ms)
{
    struct signalfd_siginfo came;

    while (read(signals_fd, &came, sizeof came) == sizeof came) {
        const bool is_over = is_end((int)came.ssi_signo) && (pid_t)came.ssi_pid != getpid();

        if (is_over && !keeper->has_ended)
            note_end(keeper, &came, now_ms);
        if (is_over && keeper->has_ended)
            carry_drop(&keeper->carriage);
        else if (!keeper->has_ended && is_for_program(keeper, &came))
            kill(keeper->program, (int)came.ssi_signo);
    }
}

/* What was sent to the group has come to all of it before the kernel tells of the program's end: so it is
 * read first, whatever has woken us up. */
static void look_for_end(struct keeper *keeper, int signals_fd, uint64_t now_ms)
{
    siginfo_t found = {.si_pid = 0};

    if (keeper->has_ended)
        return;
    if (waitid(P_PID, (id_t)keeper->program, &found, WEXITED | WNOHANG | WNOWAIT) < 0)
        _exit(0); /* it has been waited for already */
    if (found.si_pid == 0)
        return;
    take_signals(keeper, signals_fd, now_ms);
    waitpid(keeper->program, &keeper->status, 0);
    keeper->has_ended = true;
}

/* With all that it has started, and this process, which SIGTERM does not end. */
static void tell_to_end(struct keeper *keeper, uint64_t now_ms)
{
    kill(-keeper->group, keeper->is_told ? SIGKILL : SIGTERM);
    keeper->due_ms = keeper->is_told ? NEVER : now_ms + (uint64_t)keeper->kill_ms;
    keeper->is_told = true;
}

/* End a program whose client has gone. One that has answered may be about to end by itself: some web
 * servers close as soon as they have all that they were promised. */
static void follow_client(struct keeper *keeper, uint64_t now_ms)
{
    struct carriage *carriage = &keeper->carriage;

    if (keeper->due_ms == NEVER ||
        (!keeper->is_told && (!carriage->is_gone || carriage->watch != CARRY_TO_END)))
        return;
    if (!keeper->due_ms)
        keeper->due_ms = now_ms + (carriage->has_answered || !carriage->is_carried ? GRACE_MS : 0);
    if (now_ms < keeper->due_ms)
        return;
    carry_drop(carriage);
    tell_to_end(keeper, now_ms);
}

/* Answer in place of a program that was ended. Which limit it was the master's log says. */
static void follow_end(struct keeper *keeper, uint64_t now_ms)
{
    static const struct refusal ended = {
        "504 Gateway Timeout", "the program was ended before it had begun to answer"};
    char answer[REFUSAL_ANSWER_SIZE];

    if (!keeper->was_signalled || keeper->is_told)
        return;
    if (!keeper->has_ended && !carry_is_unanswered(&keeper->carriage) &&
        (!keeper->speak_at_ms || now_ms < keeper->speak_at_ms))
        return;
    carry_answer(&keeper->carriage, answer, refusal_write(&ended, "", answer), now_ms);
    keeper->was_signalled = false;
    keeper->speak_at_ms = 0;
}

/*
 * The program's output is over without an answer. The kernel closes what a process has open before it tells of
 * its end, so this may be the first that is seen of one. What has been sent to the group may still
 * be on its way to this process when the program has died of it, but whoever sends holds the lock of
 * the table of processes until all have it; setpgid(2), which changes nothing here, waits for that.
 */
static void follow_silence(struct keeper *keeper, int signals_fd, uint64_t now_ms)
{
    if (!carry_is_unanswered(&keeper->carriage))
        return;
    if (!keeper->has_ended) {
        setpgid(0, getpgrp());
        take_signals(keeper, signals_fd, now_ms);
    }
    follow_end(keeper, now_ms);
    carry_part(&keeper->carriage, now_ms);
}

static int open_signals(void)
{
    sigset_t all;

    sigfillset(&all);
    return signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void turn(struct keeper *keeper, int signals_fd, uint64_t deadline_ms)
{
    struct pollfd polls[CARRY_POLLS + 1];
    uint64_t now_ms = clock_ms();
    int wait_ms = carry_wait(&keeper->carriage, polls, now_ms);

    if (keeper->due_ms && keeper->due_ms != NEVER)
        wait_ms = clock_sooner(wait_ms, clock_left_ms(keeper->due_ms, now_ms));
    if (keeper->speak_at_ms)
        wait_ms = clock_sooner(wait_ms, clock_left_ms(keeper->speak_at_ms, now_ms));
    if (deadline_ms)
        wait_ms = clock_sooner(wait_ms, clock_left_ms(deadline_ms, now_ms));
    polls[CARRY_POLLS] = (struct pollfd){.fd = signals_fd, .events = POLLIN};
    if (poll(polls, CARRY_POLLS + 1, wait_ms) < 0)
        for (int i = 0; i <= CARRY_POLLS; i++)
            polls[i].revents = 0;
    now_ms = clock_ms();
    if (polls[CARRY_POLLS].revents)
        take_signals(keeper, signals_fd, now_ms);
    look_for_end(keeper, signals_fd, now_ms);
    follow_end(keeper, now_ms);
    carry_advance(&keeper->carriage, polls, keeper->has_ended, now_ms);
    follow_silence(keeper, signals_fd, now_ms);
    follow_client(keeper, now_ms);
}

static bool run(struct keeper *keeper, uint64_t deadline_ms)
{
    static const struct pollfd nothing[CARRY_POLLS];
    int signals_fd = open_signals();

    if (signals_fd < 0)
        _exit(EXIT_SYSTEM); /* and with us the program */
    look_for_end(keeper, signals_fd, clock_ms());
    follow_end(keeper, clock_ms());
    carry_advance(&keeper->carriage, nothing, keeper->has_ended, clock_ms());
    while (!keeper->has_ended || !carry_is_over(&keeper->carriage)) {
        if (deadline_ms && clock_ms() >= deadline_ms) {
            close(signals_fd);
            return false;
        }
        turn(keeper, signals_fd, deadline_ms);
    }
    close(signals_fd);
    return true;
}

bool keeper_run(struct keeper *keeper, int limit_ms)
{
    return run(keeper, clock_ms() + (uint64_t)limit_ms);
}

const struct refusal *keeper_wait_for_answer(struct keeper *keeper, int limit_ms)
{
    static const struct refusal silent = {
        "504 Gateway Timeout", "the program has not begun to answer within the time limit"};
    char answer[REFUSAL_ANSWER_SIZE];
    const size_t size = refusal_write(&silent, "", answer);

    prctl(PR_SET_NAME, KEEPER_NAME);
    if (keeper_run(keeper, limit_ms))
        keeper_end_like(keeper->status);
    if (!carry_answer(&keeper->carriage, answer, size, clock_ms()))
        return NULL;
    tell_to_end(keeper, clock_ms());
    return &silent;
}

_Noreturn void keeper_stay(struct keeper *keeper)
{
    prctl(PR_SET_NAME, KEEPER_NAME);
    run(keeper, 0);
    keeper_end_like(keeper->status);
}

static void cut_short(int number)
{
    (void)number; /* ppoll() has returned: that is all */
}

/* Signals to end, which the program would have died of, end the wait for its client. */
static void let_signals_end(sigset_t *while_waiting)
{
    const struct sigaction action = {.sa_handler = cut_short};

    sigfillset(while_waiting);
    for (size_t i = 0; i < ENDS; i++) {
        sigdelset(while_waiting, ends[i]);
        sigaction(ends[i], &action, NULL);
    }
}

_Noreturn void keeper_part(int connection, const struct farewell *farewell, int status)
{
    sigset_t while_waiting;

    let_signals_end(&while_waiting);
    farewell_say(connection, farewell, &while_waiting);
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
