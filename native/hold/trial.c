/*
 * The copy is the template's own child, not the master's, so the template hears of its end. If it
 * goes on in the program without a request, that does no more than it does for a client that connects and
 * leaves, as every scan of ports has it; yet nobody has asked for it, so what it says of errors goes
 * nowhere. A request is the operator's wish, and what the program has to say of it is for him.
 *
 * Which ends are faults: those that no client can be the reason of. A program that answers nobody
 * may well get SIGPIPE, and may end with any status. Where the request is one that has to be answered, to be
 * ended by a signal is a fault as well, and so is not to get as far as the program.
 */
#include "trial.h"

#include "client.h"
#include "exits.h"
#include "handover.h"
#include "template.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
    int number;
    const char *name;
    bool is_always; /* a fault */
} signals[] = {
    {SIGSEGV, "SIGSEGV", true},  {SIGABRT, "SIGABRT", true},  {SIGBUS, "SIGBUS", true},
    {SIGILL, "SIGILL", true},    {SIGFPE, "SIGFPE", true},    {SIGTRAP, "SIGTRAP", true},
    {SIGSYS, "SIGSYS", true},    {SIGALRM, "SIGALRM", false}, {SIGHUP, "SIGHUP", false},
    {SIGINT, "SIGINT", false},   {SIGKILL, "SIGKILL", false}, {SIGPIPE, "SIGPIPE", false},
    {SIGQUIT, "SIGQUIT", false}, {SIGTERM, "SIGTERM", false}, {SIGUSR1, "SIGUSR1", false},
    {SIGUSR2, "SIGUSR2", false}, {SIGXCPU, "SIGXCPU", false}, {SIGXFSZ, "SIGXFSZ", false},
};

static struct client client;
static bool has_request;
static atomic_bool *has_gone_on; /* the copy; in memory that it shares with its template */

static const char *name_fault(int number)
{
    static char text[64] = "a copy on trial was ended by ";

    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (signals[i].number == number)
            return has_request || signals[i].is_always ? strcat(text, signals[i].name) : NULL;
    return has_request ? strcat(text, "a signal") : NULL;
}

/* What did not come to the program was refused by the front, if there is one, which has said why. */
static const char *name_refusal(void)
{
    static char text[128 + CLIENT_HEAD_SIZE] = "the request for the trial is refused: ";
    const char *reason = strstr(client.head, "\r\n\r\n");

    if (!reason)
        return "a copy on trial has ended before it was in the program";
    strcat(text, reason + strlen("\r\n\r\n"));
    text[strcspn(text, "\r\n")] = '\0';
    return text;
}

static const char *find_fault(int status)
{
    if (WIFSTOPPED(status))
        return "a copy on trial has stopped itself";
    if (WIFSIGNALED(status) && !(client.has_had_enough && WTERMSIG(status) == SIGPIPE))
        return name_fault(WTERMSIG(status));
    return has_request && !atomic_load(has_gone_on) ? name_refusal() : NULL;
}

static void prepare(bool is_run, int request)
{
    has_request = request >= 0;
    if (!is_run) {
        client_stay_away(&client);
        return;
    }
    has_gone_on = mmap(NULL, sizeof *has_gone_on, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (has_gone_on == MAP_FAILED || !client_arrive(&client, request))
        handover_give_up("a copy cannot be tried");
}

static void forget(void)
{
    if (has_gone_on)
        munmap(has_gone_on, sizeof *has_gone_on);
}

bool trial_is_copy(pid_t *thread_id, bool is_run, int request, struct trial_outcome *outcome)
{
    const pid_t template = getpid();
    const char *fault;
    long pid;
    int status = 0;

    prepare(is_run, request);
    pid = template_clone(SIGCHLD, NULL, thread_id);
    if (pid == 0) {
        handover_close();
        client_let_go(&client);
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != template)
            _exit(0);
        return true;
    }
    if (pid < 0)
        handover_give_up("it cannot be copied");
    fault = client_talk(&client, (pid_t)pid, &status) == pid ? find_fault(status) : NULL;
    kill((pid_t)-pid, SIGKILL); /* it may have stopped, or have left others behind */
    if (fault)
        handover_give_up(fault);
    *outcome = (struct trial_outcome){
        .has_answered = has_request,
        .status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status),
        .answer_bytes = client.answer_bytes,
    };
    forget();
    return false;
}

void trial_leave_pool(const struct board *board)
{
    void *place = board->header;
    const size_t size = board_size(board->capacity);

    if (mmap(place, size, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != place)
        _exit(EXIT_SYSTEM);
}

int trial_connect(void)
{
    int nowhere;

    if (has_request)
        return client.other_end;
    nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nowhere < 0 || dup2(nowhere, STDERR_FILENO) < 0)
        _exit(EXIT_SYSTEM);
    close(nowhere);
    return client.other_end;
}

void trial_go_on(void)
{
    atomic_store(has_gone_on, true);
    forget();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}
