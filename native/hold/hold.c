/*
 * socketd-hold.so: preloaded into the user's program, holds it still as a template.
 *
 * Three ways to get here, one way on. At the level `load` the constructor below holds, before
 * main(). At `read` the master has seen, in /proc/PID/syscall, that the program sits in a read of
 * descriptor 0, and at `stop` that it has stopped itself; then it sends the signal whose handler
 * holds. The template never returns: it is the handler, or the constructor, that forks. Each copy
 * waits for a connection, puts it in place and returns; the kernel then starts the interrupted
 * read anew (SA_RESTART), now from the connection.
 *
 * Why the handler may do what it does. It goes on only where a system call would return: at a read
 * that is about to be restarted or a poll that is about to fail with EINTR, which is checked in the
 * saved registers (place.c), or at the SIGSTOP that the program has sent to itself. There is one
 * thread, so no lock is held but what the program itself holds across that call (locks.c). The
 * template takes none and allocates nothing: it makes system calls on memory of our own. More than
 * that is called in these places only: once in the template the loader, for functions of what was
 * loaded since main() (hooks.c, numbers.c); CPython (python.c) and what the program has registered for
 * a fork (atfork.c), once in the template and in each copy; in each copy what seeds its random numbers
 * (numbers.c); in one behind which a keeper is to stay fork() (front/keeper.c); and in a copy that has
 * its connection the setenv() of a program that keeps its environment elsewhere (variables.c), and the
 * function that it wants to be called (hooks.c). All are what the program could call there itself. At
 * any other place the handler returns at once and the master tries again.
 *
 * Until then the program has no descriptor of ours, so nothing that it starts before can keep the
 * listener or the board (handover.c).
 */
#include "atfork.h"
#include "bind.h"
#include "call.h"
#include "canary.h"
#include "closing.h"
#include "copy.h"
#include "direct.h"
#include "dispositions.h"
#include "files.h"
#include "front/front.h"
#include "handover.h"
#include "hooks.h"
#include "life.h"
#include "locales.h"
#include "locks.h"
#include "options.h"
#include "numbers.h"
#include "place.h"
#include "python.h"
#include "requests.h"
#include "share.h"
#include "shortcuts.h"
#include "template.h"
#include "terms.h"
#include "thread.h"
#include "timers.h"
#include "trial.h"
#include "variables.h"
#include "wakeups.h"
#include "wired.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <ucontext.h>
#include <unistd.h>

#define VISIBLE __attribute__((visibility("default")))

extern char **environ;

static struct held held;
static int received[HANDED];
static const char *obstacle; /* why this program cannot be held, found before it could be reported */

/* For socketd.hold: true if the process is to stop itself when its start is over. */
VISIBLE int socketd_hold_waits_for_stop(void);

int socketd_hold_waits_for_stop(void)
{
    return call_is_waiting() && call.first.level == LEVEL_STOP;
}

/* Before main() no interpreter has a state of its own. */
static void refuse_what_copies_would_share(void)
{
    const char *reason = atfork_obstacle();

    if (!reason && call.first.level != LEVEL_LOAD)
        reason = python_obstacle();
    if (!reason && call.first.level != LEVEL_LOAD)
        reason = numbers_obstacle();
    if (!reason && call.first.level != LEVEL_LOAD)
        reason = locks_obstacle();
    if (!reason && call.first.level != LEVEL_LOAD)
        reason = options_find(STDIN_FILENO);
    if (reason)
        handover_give_up(reason);
}

/* What the program has open, while nothing of ours is. */
static void find_open(void)
{
    if (!obstacle)
        obstacle = wired_find(&held.original.wired, &held.original.logging, call.first.log_inode);
    if (!obstacle)
        obstacle = wakeups_find(call.first.log_inode);
    if (!obstacle)
        obstacle = files_find();
}

/* A program that runs as another user than the master may run beside others of that user. They must
 * not trace the copies that wait, nor write the board through them: as with workers of the zygote.
 * Not before it is held: it could not open its own /proc/self/fd. */
static void forbid_tracing(void)
{
    held.original.dumpable = prctl(PR_GET_DUMPABLE);
    if (kill(call.first.master, 0) < 0 && errno == EPERM)
        prctl(PR_SET_DUMPABLE, 0);
}

/* Returns in copies only, each with a connection in place. All signals are blocked. */
static void hold(void)
{
    struct template template;
    struct worker worker = {0};
    struct trial_outcome outcome;
    const bool is_at_start = call.first.level == LEVEL_LOAD;
    const struct survey_look *const looks[SURVEY_LOOKS] = {canary_begin(),
                                                           is_at_start ? NULL : locks_begin()};
    const char *shared_canary = canary_settle(survey_memory(looks));
    const char *wrong, *timers_obstacle = is_at_start ? NULL : timers_stop();

    call.is_open = false; /* nothing of the program runs before this process is a copy */
    prctl(PR_GET_NAME, held.original.name);
    forbid_tracing();
    find_open();
    handover_receive(received);
    if (received[REQUEST] >= 0 && !call.first.is_run_on_trial)
        handover_give_up("there is a request for a trial that is not to be run");
    if (obstacle || timers_obstacle)
        handover_give_up(obstacle ? obstacle : timers_obstacle);
    refuse_what_copies_would_share();
    template.doorbell = (struct doorbell){.master = call.first.master, .fd = received[DOORBELL]};
    template.slots_fd = received[SLOTS];
    template.groups_fd = received[GROUPS];
    template.thread_id = thread_find_id();
    if (!template.thread_id)
        handover_give_up("it is not known where libc keeps the thread id");
    if (!share_map(&template.board, received[BOARD]))
        handover_give_up("cannot map the board");
    close(received[BOARD]);
    wrong = terms_take(&held.terms, received[PLAN]);
    if (wrong)
        handover_give_up(wrong);
    held.has_request = received[REQUEST] >= 0;
    life_prepare(&held, &worker);
    if (!copy_take_greeting(&held.original, received[CAPTURE]))
        handover_give_up("cannot keep what it has written");
    prctl(PR_SET_NAME, "socketd-held");
    dispositions_put_aside(is_at_start ? 0 : call.first.signal);
    worker.board = template.board;
    worker.doorbell = template.doorbell;
    worker.listener_fd = received[LISTENER];
    python_prepare();
    atfork_prepare(); /* from here on in the order of fork() */
    if (trial_is_copy(template.thread_id, life_is_tried(&held), received[REQUEST], &outcome)) {
        close(template.slots_fd);
        if (template.groups_fd >= 0)
            close(template.groups_fd);
        life_try(&held, &worker);
        return;
    }
    handover_confirm(&outcome, shared_canary);
    worker.number = template_run(&template);
    life_live(&held, &worker, template.thread_id);
}

static void handle(int signal_number, siginfo_t *information, void *context)
{
    static bool was_interrupted;
    int saved = errno;

    (void)signal_number;
    /* The sender of kill() is the kernel's word; that of sigqueue() may be a lie. */
    if (information->si_code != SI_USER || information->si_pid != call.first.master ||
        !call_is_waiting())
        return;
    if (call.first.level == LEVEL_READ) {
        enum place place = place_find(context);

        /* A poll fails with EINTR. Whether the program takes that as it should is tried first. */
        if (place == PLACE_ELSEWHERE || (place == PLACE_POLL && !was_interrupted)) {
            was_interrupted = place == PLACE_POLL;
            errno = saved;
            return;
        }
    }
    hooks_find();
    numbers_find();
    hold();
    hooks_call(&((const ucontext_t *)context)->uc_sigmask);
    errno = saved;
}

static void wait_for_signal(void)
{
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_RESTART};

    sigfillset(&action.sa_mask);
    if (sigaction(call.first.signal, &action, NULL) < 0)
        _exit(EXIT_SYSTEM);
}

static __attribute__((constructor)) void begin(void)
{
    sigset_t all, before;

    if (!call_take())
        return;
    /* Without a master there is no request for a copy. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != call.first.master)
        _exit(0);
    wakeups_begin();
    dispositions_reset_reserved();
    shortcuts_choose();
    if (shortcuts_are_taken()) {
        bind_functions();
        closing_prepare();
    }
    python_find();
    if (call.first.has_front && (!front_prepare(environ) || !requests_prepare(environ)))
        obstacle = "its environment has too many variables for a front";
    variables_make_room(call.first.has_front ? REQUEST_ENTRIES : ENVIRONMENT_MOST);
    if (call.first.level != LEVEL_LOAD) {
        wait_for_signal();
        return;
    }
    if (shortcuts_are_taken())
        locales_read();
    sigfillset(&all);
    direct_set_mask(&all, &before);
    hold();
    direct_set_mask(&before, NULL);
}
