/*
 * The copy is the template's own child, not the master's, so the template hears of its end. If it
 * goes on in the program, that does no more than it does for a client that connects and leaves, as every
 * scan of ports has it; yet nobody has asked for it, so what it says of errors goes nowhere.
 *
 * Which ends are faults: those that no client can be the reason of. A program that answers nobody
 * may well get SIGPIPE, and may end with any status.
 */
#include "trial.h"

#include "exits.h"
#include "handover.h"
#include "template.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
    int number;
    const char *reason;
} faults[] = {
    {SIGSEGV, "a copy on trial was ended by SIGSEGV"}, {SIGABRT, "a copy on trial was ended by SIGABRT"},
    {SIGBUS, "a copy on trial was ended by SIGBUS"},   {SIGILL, "a copy on trial was ended by SIGILL"},
    {SIGFPE, "a copy on trial was ended by SIGFPE"},   {SIGTRAP, "a copy on trial was ended by SIGTRAP"},
    {SIGSYS, "a copy on trial was ended by SIGSYS"},
};

static const char *find_fault(int status)
{
    if (WIFSTOPPED(status))
        return "a copy on trial has stopped itself";
    for (size_t i = 0; WIFSIGNALED(status) && i < sizeof faults / sizeof *faults; i++)
        if (faults[i].number == WTERMSIG(status))
            return faults[i].reason;
    return NULL;
}

bool trial_is_copy(pid_t *thread_id)
{
    const pid_t template = getpid();
    long pid = template_clone(SIGCHLD, NULL, thread_id), ended;
    const char *fault;
    int status;

    if (pid == 0) {
        handover_close();
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != template)
            _exit(0);
        return true;
    }
    if (pid < 0)
        handover_give_up("it cannot be copied");
    do
        ended = syscall(SYS_wait4, pid, &status, WUNTRACED | __WALL, NULL);
    while (ended < 0 && errno == EINTR);
    fault = ended == pid ? find_fault(status) : NULL;
    kill((pid_t)-pid, SIGKILL); /* it may have stopped, or have left others behind */
    if (fault)
        handover_give_up(fault);
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
    const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    int ends[2];

    if (nowhere < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0 ||
        dup2(nowhere, STDERR_FILENO) < 0)
        _exit(EXIT_SYSTEM);
    close(nowhere);
    close(ends[1]);
    return ends[0];
}

void trial_go_on(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}
