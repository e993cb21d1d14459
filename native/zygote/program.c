/*
 * From a connection to exec: close-on-exec takes care of every descriptor of ours.
 */
#include "program.h"

#include "exits.h"
#include "front/front.h"
#include "front/syslog.h"
#include "pool_signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

int program_open_stderr(const struct program *program, int output)
{
    switch (program->stderr_target) {
    case STDERR_INHERIT:
        return STDERR_FILENO;
    case STDERR_SYSLOG:
        return syslog_open();
    case STDERR_NULL:
        return open("/dev/null", O_RDWR | O_CLOEXEC);
    case STDERR_SOCKET:
        break;
    }
    return output;
}

static void wire(const struct worker *worker, int connection, int last)
{
    /* 0 to 2 are open since the start. One of them here would keep close-on-exec. */
    if (connection <= STDERR_FILENO)
        worker_fail(worker, STEP_WIRE, EBADF, EXIT_SYSTEM);
    if (dup2(connection, STDIN_FILENO) < 0 || dup2(connection, STDOUT_FILENO) < 0 ||
        dup2(last, STDERR_FILENO) < 0)
        worker_fail(worker, STEP_WIRE, errno, EXIT_SYSTEM);
}

int program_exec_status(int error)
{
    switch (error) {
    case ELOOP:
    case ENAMETOOLONG:
    case ENOENT:
    case ENOTDIR:
        return EXIT_NOT_FOUND;
    default:
        return EXIT_NOT_EXECUTABLE;
    }
}

/* Go on in a child. The keeper has nothing of the pool's, and of the connection 0 to 2. */
static void leave_keeper(const struct farewell *farewell, const struct worker *worker)
{
    const struct keeper keeper = {.connection = STDIN_FILENO,
                                  .farewell = farewell,
                                  .group_sender = worker->doorbell.master};
    struct worker parted = *worker;
    pid_t program = keeper_divide();

    if (program == 0)
        return;
    worker_leave_pool(&parted);
    keeper_stay(&keeper, program);
}

_Noreturn void program_become(const struct program *program, const struct worker *worker,
                              int connection, char **environment)
{
    const struct sigaction usual = {.sa_handler = SIG_DFL};
    const int last = program_open_stderr(program, connection);
    sigset_t none;

    if (last < 0)
        worker_fail(worker, STEP_WIRE, errno, EXIT_SYSTEM);
    wire(worker, connection, last);
    /* A busy worker outlives the master. The default of the retire signal is to be ignored, and setting
     * it discards one that waits; any other signal that came meanwhile is acted on below. */
    if (prctl(PR_SET_PDEATHSIG, 0) < 0 || sigaction(RETIRE_SIGNAL, &usual, NULL) < 0)
        worker_fail(worker, STEP_EXEC, errno, EXIT_SYSTEM);
    if (program->farewell)
        leave_keeper(program->farewell, worker);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    executable_run(&program->executable, environment);
    if (program->is_chosen || (program->front && errno == E2BIG))
        front_refuse(program->front, STDOUT_FILENO, front_why_not_run(errno));
    worker_fail(worker, STEP_EXEC, errno, program_exec_status(errno));
}
