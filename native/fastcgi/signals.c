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

static void note(int number, void (*handler)(int), sigset_t *blocked)
{
    const struct sigaction action = {.sa_handler = handler};

    sigaddset(blocked, number);
    sigaction(number, &action, NULL);
}

void signals_note(sigset_t *while_waiting)
{
    sigset_t blocked;

    stopped_by = is_asked_to_finish = 0;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGPIPE);
    *while_waiting = blocked;
    note(SIGCHLD, note_child, &blocked);
    note(RETIRE_SIGNAL, note_request_to_finish, &blocked);
    note(SIGHUP, note_stop, &blocked);
    note(SIGINT, note_stop, &blocked);
    note(SIGTERM, note_stop, &blocked);
    sigprocmask(SIG_SETMASK, &blocked, NULL);
}

int signals_stop(void)
{
    return stopped_by;
}

bool signals_ask_to_finish(void)
{
    return is_asked_to_finish;
}
