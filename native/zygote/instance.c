/*
 * The worker is there as long as its instance, and the other way round:
 *
 *     the instance ends before a connection   SIGCHLD closes the listener as retiring does (see
 *                                             worker.c), and the worker leaves with a failure
 *     ... in the instant of the accept        the connection gets another instance
 *     the worker retires                      end of input and SIGTERM to its group, and after
 *                                             some seconds SIGKILL; only then does it leave
 *     the worker is killed                    the kernel kills the instance (PR_SET_PDEATHSIG)
 *     the instance ends with a connection     what it has printed is sent, then the worker ends
 *                                             in the same way
 *
 * vfork() tells whether the program could be executed: the worker goes on when it has been, or
 * finds the error in memory that the two share until then.
 */
#include "instance.h"

#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_SECONDS = 5 };

struct instance {
    pid_t pid;
    int stdin_fd;  /* our end */
    int stdout_fd; /* our end */
};

static struct instance current;
static volatile int exec_error; /* written by the child of vfork() */

static _Noreturn void become(const struct program *program, const struct rlimit *cpu_limit,
                             pid_t worker, int stdin_fd, int stdout_fd, char **environment)
{
    const int stderr_fd = program_open_stderr(program, stdout_fd);
    sigset_t none;

    sigemptyset(&none);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && dup2(stdin_fd, STDIN_FILENO) >= 0 &&
        dup2(stdout_fd, STDOUT_FILENO) >= 0 && dup2(stderr_fd, STDERR_FILENO) >= 0 &&
        (!cpu_limit || setrlimit(RLIMIT_CPU, cpu_limit) == 0)) {
        /* A worker that was killed before the line above sends nothing. */
        if (getppid() != worker)
            _exit(0);
        sigprocmask(SIG_SETMASK, &none, NULL);
        executable_run(&program->executable, environment);
    }
    exec_error = errno;
    _exit(EXIT_SYSTEM);
}

static void start(const struct program *program, const struct rlimit *cpu_limit,
                  const struct worker *worker, char **environment)
{
    const pid_t own = getpid();
    int input[2], output[2];

    if (pipe2(input, O_CLOEXEC) < 0 || pipe2(output, O_CLOEXEC) < 0)
        worker_fail(worker, STEP_WIRE, errno, EXIT_SYSTEM);
    exec_error = 0;
    current.pid = vfork();
    if (current.pid == 0)
        become(program, cpu_limit, own, input[0], output[1], environment);
    if (current.pid < 0)
        worker_fail(worker, STEP_FORK, errno, EXIT_SYSTEM);
    if (exec_error)
        worker_fail(worker, STEP_EXEC, exec_error, program_exec_status(exec_error));
    close(input[0]);
    close(output[1]);
    current.stdin_fd = input[1];
    current.stdout_fd = output[0];
}

/* Tell whether the instance has ended, and with which status of wait(2). */
static bool has_ended(int *status)
{
    return waitpid(current.pid, status, WNOHANG) == current.pid;
}

/* There is no connection: the worker was asked to leave, or its instance has ended. */
static _Noreturn void leave(const struct worker *worker)
{
    const struct timespec patience = {.tv_sec = PATIENCE_SECONDS};
    bool has_failed;
    sigset_t all, child;
    int status;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    has_failed = has_ended(&status) && !board_is_asked_to_retire(&worker->board, worker->number);
    close(current.stdin_fd);
    /* Its output stays open: last words must not be SIGPIPE. And it may be a shell whose children
     * read. */
    kill(0, SIGTERM);
    if (has_failed)
        worker_fail(worker, STEP_PROGRAM,
                    WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status), EXIT_SYSTEM);
    while (waitpid(current.pid, NULL, WNOHANG) == 0)
        if (sigtimedwait(&child, NULL, &patience) < 0 && errno == EAGAIN)
            kill(0, SIGKILL);
    _exit(0);
}

static void prepare(struct worker *worker)
{
    /* No SA_RESTART: accept4() has to return. */
    struct sigaction action = {.sa_handler = worker_stop_listening, .sa_flags = SA_NOCLDSTOP};

    sigfillset(&action.sa_mask);
    worker->end_idle = leave;
    if (sigaction(SIGCHLD, &action, NULL) < 0)
        worker_fail(worker, STEP_PREPARE, errno, EXIT_SYSTEM);
}

/* A busy worker outlives the master and keeps nothing of the pool's: neither a socket that should
 * be closed when the master closes it, nor a bell. */
static void leave_pool(struct worker *worker)
{
    worker_leave_pool(worker);
    prctl(PR_SET_PDEATHSIG, 0);
    prctl(PR_SET_NAME, "socketd-relay");
}

static int watch_signals(void)
{
    static const int numbers[] = {SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
    sigset_t watched;

    sigemptyset(&watched);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaddset(&watched, numbers[i]);
    return signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* To others this process is the program, so what they send is passed on; what the master sends has
 * gone to the whole group. */
static void take_signals(int signals_fd, pid_t master, bool is_over, int status)
{
    struct signalfd_siginfo came;

    while (read(signals_fd, &came, sizeof came) == sizeof came) {
        if (came.ssi_signo == SIGCHLD || (pid_t)came.ssi_pid == master)
            continue;
        if (is_over)
            keeper_end_like(status);
        kill(current.pid, (int)came.ssi_signo);
    }
}

/* Children of the program may go on printing after its end, as on a connection. */
static _Noreturn void serve(struct relay *relay, int signals_fd, pid_t master,
                            const struct farewell *farewell)
{
    bool is_over = false;
    int status = 0;

    while (!is_over || !relay_has_sent(relay)) {
        if (!relay_turn(relay, signals_fd))
            continue;
        take_signals(signals_fd, master, is_over, status);
        is_over = is_over || has_ended(&status);
    }
    if (farewell)
        keeper_part(relay->connection, farewell, status);
    keeper_end_like(status);
}

_Noreturn void instance_live(const struct program *program, struct worker *worker,
                             struct environment *environment)
{
    const struct rlimit *cpu_limit = worker->cpu_limit;
    const pid_t master = worker->doorbell.master;
    const size_t variables = environment->count;
    struct relay relay;
    int connection, signals_fd, status;

    setpgid(0, 0);
    worker->cpu_limit = NULL; /* it is the program's */
    prepare(worker);
    start(program, cpu_limit, worker, environment->entries);
    connection = worker_wait(worker, environment);
    if (has_ended(&status)) {
        close(current.stdin_fd);
        close(current.stdout_fd);
        environment->entries[variables] = NULL; /* it knows no more than the one before */
        start(program, cpu_limit, worker, environment->entries);
    }
    signals_fd = watch_signals();
    if (signals_fd < 0 || !relay_open(&relay, connection, current.stdin_fd, current.stdout_fd))
        worker_fail(worker, STEP_WIRE, errno, EXIT_SYSTEM);
    leave_pool(worker);
    serve(&relay, signals_fd, master, program->farewell);
}
