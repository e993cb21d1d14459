/*
 * The child shares our memory until it execs, and we sleep meanwhile (CLONE_VM, CLONE_VFORK): no
 * page table is copied, and its error number is simply there. So it runs on a stack of its own and
 * does nothing but system calls. A handler of ours that ran in it would set our flag, which is what
 * it does in us too.
 */
#include "program.h"

#include "front/front.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILD_STACK_SIZE = 32 * 1024 };

struct start {
    const struct executable *program;
    char *const *environment;
    const struct rlimit *cpu_limit;
    int stdin_fd;
    int stdout_fd;
    int stderr_fd;
    int error;
};

static const struct refusal system_failure = {
    "503 Service Unavailable", "the system lacks what starting the program takes"};

static int become(void *argument)
{
    struct start *start = argument;
    sigset_t none;

    sigemptyset(&none);
    /* Its own group, so that all of it can be told to end; and if we are killed outright, the
     * kernel ends at least the program itself. */
    if (setpgid(0, 0) == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 &&
        dup2(start->stdin_fd, STDIN_FILENO) >= 0 && dup2(start->stdout_fd, STDOUT_FILENO) >= 0 &&
        (start->stderr_fd == STDERR_FILENO || dup2(start->stderr_fd, STDERR_FILENO) >= 0) &&
        (!start->cpu_limit || setrlimit(RLIMIT_CPU, start->cpu_limit) == 0) &&
        sigprocmask(SIG_SETMASK, &none, NULL) == 0)
        executable_run(start->program, start->environment);
    start->error = errno;
    return 0;
}

static int open_null(void)
{
    static int null_fd = -1;

    if (null_fd < 0)
        null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    return null_fd;
}

/* Each pair is {our end, the program's end}. Without an end of ours the other one is not of this
 * request alone. What is open of them is closed by the caller. */
static bool open_pipes(bool has_body, enum stderr_mode stderr_mode, int pairs[3][2])
{
    int ends[2];

    if (!has_body) {
        pairs[0][1] = open_null();
        if (pairs[0][1] < 0)
            return false;
    } else if (pipe2(ends, O_CLOEXEC) == 0) {
        pairs[0][0] = ends[1];
        pairs[0][1] = ends[0];
        /* Not by pipe2(): the program's end would not block either. */
        fcntl(ends[1], F_SETFL, O_WRONLY | O_NONBLOCK);
    } else {
        return false;
    }
    if (pipe2(pairs[1], O_CLOEXEC) < 0)
        return false;
    if (stderr_mode == STDERR_TO_CLIENT)
        return pipe2(pairs[2], O_CLOEXEC) == 0;
    pairs[2][1] = stderr_mode == STDERR_INHERITED ? STDERR_FILENO : open_null();
    return pairs[2][1] >= 0;
}

static void close_side(int pairs[3][2], int side)
{
    for (int i = 0; i < 3; i++)
        if (pairs[i][0] >= 0)
            close(pairs[i][side]);
}

static const struct refusal *spawn(const struct service *service, const struct executable *program,
                                   char *const environment[], bool has_body,
                                   struct backend *backend)
{
    static _Alignas(16) char stack[CHILD_STACK_SIZE];
    int pairs[3][2] = {{-1, -1}, {-1, -1}, {-1, -1}};
    struct start start = {
        .program = program, .environment = environment, .cpu_limit = service->cpu_limit};
    pid_t pid = -1;

    backend->name = program->path;
    if (open_pipes(has_body, service->stderr_mode, pairs)) {
        start.stdin_fd = pairs[0][1];
        start.stdout_fd = pairs[1][1];
        start.stderr_fd = pairs[2][1];
        pid = clone(become, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, &start);
    }
    if (pid < 0)
        start.error = errno;
    close_side(pairs, 1);
    if (start.error) {
        if (pid > 0)
            waitpid(pid, NULL, 0);
        close_side(pairs, 0);
        backend->error = start.error;
        return pid < 0 ? &system_failure : front_why_not_run(start.error);
    }
    backend->body_fd = pairs[0][0];
    backend->answer_fd = pairs[1][0];
    backend->stderr_fd = pairs[2][0];
    backend->group = pid;
    return NULL;
}

const struct refusal *program_start(const struct service *service, struct request *request,
                                    bool has_body, struct backend *backend)
{
    const struct refusal *refused = request_complete(request);

    return refused ? refused
                   : spawn(service, service->means, request->entries, has_body, backend);
}

const struct refusal *program_start_at(const struct service *service, const struct choice *choice,
                                       struct request *request, bool has_body,
                                       struct backend *backend)
{
    char *words[3] = {NULL};
    const struct executable program = {choice->path, choice->folder, choice->path, words};
    const struct refusal *refused = request_complete(request);

    return refused ? refused : spawn(service, &program, request->entries, has_body, backend);
}

const struct refusal *program_start_chosen(const struct service *service, struct request *request,
                                           bool has_body, struct backend *backend)
{
    static struct choice choice;
    const struct refusal *refused = choice_make(service->means, request, &choice);

    return refused ? refused : program_start_at(service, &choice, request, has_body, backend);
}
