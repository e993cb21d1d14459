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

static void wire(const struct worker *worker, const struct carry_ends *ends, int last)
{
    /* 0 to 2 are open since the start. One of them here would keep close-on-exec. */
    if (ends->input <= STDERR_FILENO || ends->output <= STDERR_FILENO)
        worker_fail(worker, STEP_WIRE, EBADF, EXIT_SYSTEM);
    if (dup2(ends->input, STDIN_FILENO) < 0 || dup2(ends->output, STDOUT_FILENO) < 0 ||
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

/* The board is still there, so that the log has a line. */
static void wait_for_answer(struct keeper *keeper, const struct front *front)
{
    const struct refusal *refused = keeper_wait_for_answer(keeper, front->answer_limit_ms);

    if (refused)
        front_tell(front, refused);
}

/* Go on in a child. The keeper has nothing of the program's, and of the pool's at most the board. */
static void leave_keeper(const struct program *program, const struct worker *worker,
                         const struct carry_ends *ends)
{
    static struct keeper keeper; /* its pages are those of a process that has time */
    struct worker parted = *worker;

    keeper = (struct keeper){.carriage = program->carriage,
                             .group = getpid(),
                             .group_sender = worker->doorbell.master,
                             .kill_ms = program->kill_ms};
    keeper.carriage.farewell = *program->farewell;
    keeper.program = keeper_divide();
    if (keeper.program == 0)
        return;
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        close(fd);
    if (ends->input != keeper.carriage.connection)
        close(ends->input);
    if (ends->output != keeper.carriage.connection)
        close(ends->output);
    if (program->front && program->front->answer_limit_ms) {
        close(parted.doorbell.fd); /* the listener has been given back with the request */
        wait_for_answer(&keeper, program->front);
        parted.doorbell.fd = -1;
    }
    worker_leave_pool(&parted);
    keeper_stay(&keeper);
}

_Noreturn void program_become(const struct program *program, const struct worker *worker,
                              const struct carry_ends *ends, char **environment)
{
    const struct sigaction usual = {.sa_handler = SIG_DFL};
    const int last = program_open_stderr(program, ends->output);
    sigset_t none;

    if (last < 0)
        worker_fail(worker, STEP_WIRE, errno, EXIT_SYSTEM);
    wire(worker, ends, last);
    /* A busy worker outlives the master. The default of the retire signal is to be ignored, and setting
     * it discards one that waits; any other signal that came meanwhile is acted on below. */
    if (prctl(PR_SET_PDEATHSIG, 0) < 0 || sigaction(RETIRE_SIGNAL, &usual, NULL) < 0)
        worker_fail(worker, STEP_EXEC, errno, EXIT_SYSTEM);
    if (program->farewell)
        leave_keeper(program, worker, ends);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    executable_run(&program->executable, environment);
    if (program->is_chosen || (program->front && errno == E2BIG))
        front_refuse(program->front, STDOUT_FILENO, front_why_not_run(errno));
    worker_fail(worker, STEP_EXEC, errno, program_exec_status(errno));
}
