/*
 * SIGWINCH is what socketd sends to workers that wait when they are to leave, and to those at work
 * when it stops or is reloaded: most programs ignore it.
 */
#include "signals.h"

#include "pool_signals.h"

#include <stddef.h>

static volatile sig_atomic_t stopped_by, is_asked_to_finish;

static void note_stop(int number)
{
    stopped_by = number;
}

static void note_request_to_finish(int number)
{
    (void)number;
    is_asked_to_finish = 1;
}

static void note_child(int number)
{
    (void)number; /* ppoll() has returned: that is all */
}

static const struct {
    int number;
    void (*handler)(int);
} noted[] = {
    {SIGCHLD, note_child},  {RETIRE_SIGNAL, note_request_to_finish}, {SIGHUP, note_stop},
    {SIGINT, note_stop},    {SIGTERM, note_stop},
};

static sigset_t while_waiting;

void signals_note(void)
{
    sigset_t blocked;

    stopped_by = is_asked_to_finish = 0;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGPIPE);
    while_waiting = blocked;
    for (size_t i = 0; i < sizeof noted / sizeof *noted; i++) {
        const struct sigaction action = {.sa_handler = noted[i].handler};

        sigaddset(&blocked, noted[i].number);
        sigaction(noted[i].number, &action, NULL);
    }
    sigprocmask(SIG_SETMASK, &blocked, NULL);
}

const sigset_t *signals_while_waiting(void)
{
    return &while_waiting;
}

void signals_forget(void)
{
    const struct sigaction usual = {.sa_handler = SIG_DFL};
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    for (size_t i = 0; i < sizeof noted / sizeof *noted; i++)
        sigaction(noted[i].number, &usual, NULL);
}

int signals_stop(void)
{
    return stopped_by;
}

bool signals_ask_to_finish(void)
{
    return is_asked_to_finish;
}
