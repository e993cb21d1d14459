/*
 * socketd-zygote: the template whose workers exec the program.
 *
 * Owns the call: the descriptors below, of which one leads to the plan, and the state of the process
 * that workers inherit. Its one argument is what ps(1) shows. The environment is the program's, less
 * the variables of a connection. Must not know what the loop and the worker do with it all.
 *
 * Called socketd-keeper it is the keeper of a child that it has already: of a copy of a held program,
 * which hands on its place as a parent with nothing of its memory. From descriptor 0 it reads what
 * there is to go on with; see front/keeper.h and hold/copy.c.
 *
 * Exits 0 when the slots pipe ends, 100 after a wrong call, 111 when a system call failed.
 */
#include "exits.h"
#include "fastcgi/program.h"
#include "fastcgi_worker.h"
#include "front/front.h"
#include "front/keeper.h"
#include "instance.h"
#include "identity.h"
#include "plan.h"
#include "privileges.h"
#include "program.h"
#include "remark.h"
#include "shortcuts.h"
#include "template.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#if defined(__has_include)
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#endif
#endif
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    BOARD_FD = 3,
    LISTENER_FD = 4,
    SLOTS_FD = 5,
    DOORBELL_FD = 6,
    PLAN_FD = 7,
    RULESET_FD = 8, /* where the plan has one, as the next */
    GROUPS_FD = 9,
    FIRST_FOREIGN_FD = 10,
};

enum { RSEQ_AREA_SIZE = 32 }; /* what glibc registers while its struct rseq is not larger */

extern char **environ;

static struct front front;

static _Noreturn void reject(const char *reason)
{
    dprintf(STDERR_FILENO, "socketd-zygote: %s\n", reason);
    _exit(EXIT_WRONG_CALL);
}

static _Noreturn void fail(const char *attempt)
{
    dprintf(STDERR_FILENO, "socketd-zygote: cannot %s: %s\n", attempt, strerror(errno));
    _exit(EXIT_SYSTEM);
}

static const struct plan *take_plan(void)
{
    const char *wrong;
    const struct plan *plan = plan_read(PLAN_FD, &wrong);

    if (!plan)
        reject(wrong);
    close(PLAN_FD);
    if (plan->level != LEVEL_FORK && plan->level != LEVEL_RELAY)
        reject("the plan is for a program that is held");
    if (getppid() != plan->master)
        reject("the parent is not the master of the plan");
    return plan;
}

static void check_descriptors(void)
{
    struct stat slots;
    int listening = 0;
    socklen_t size = sizeof listening;
    int flags;

    for (int fd = 0; fd <= PLAN_FD; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            reject("descriptors 0 to 7 are not all open");
    if (getsockopt(LISTENER_FD, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 || !listening)
        reject("descriptor 4 is not a listening socket");
    if (fstat(SLOTS_FD, &slots) < 0 || !S_ISFIFO(slots.st_mode))
        reject("descriptor 5 is not a pipe");
    /* A worker that rings must never wait for a master that is slow to look. */
    flags = fcntl(DOORBELL_FD, F_GETFL);
    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY || !(flags & O_NONBLOCK))
        reject("descriptor 6 is not open for writing without blocking");
}

/* The program gets 0 to 2 and nothing else, also of what the master was given by its own parent. */
static void close_descriptors_on_exec(uint32_t present)
{
    for (int fd = LISTENER_FD; fd <= DOORBELL_FD; fd++)
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
            fail("set close-on-exec");
    if (!(present & PLAN_HAS_RULESET))
        close(RULESET_FD);
    if (!(present & PLAN_HAS_GROUPS))
        close(GROUPS_FD);
    else if (fcntl(GROUPS_FD, F_SETFD, FD_CLOEXEC) < 0)
        fail("set close-on-exec");
#ifdef SYS_close_range
    /* Before Linux 5.9 what the master holds inheritable goes on to the program. */
    if (syscall(SYS_close_range, (unsigned)FIRST_FOREIGN_FD, ~0U, 0U) < 0 && errno != ENOSYS)
        fail("close inherited descriptors");
#endif
}

static void map_board(struct board *board)
{
    struct stat file;
    void *memory;

    if (fstat(BOARD_FD, &file) < 0)
        fail("look at the board");
    if (!S_ISREG(file.st_mode) || file.st_size < (off_t)sizeof(struct board_header))
        reject("descriptor 3 is not a board");
    memory = mmap(NULL, (size_t)file.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, BOARD_FD, 0);
    if (memory == MAP_FAILED)
        fail("map the board");
    if (!board_attach(board, memory, (size_t)file.st_size))
        reject("the board has another layout");
    close(BOARD_FD);
}

/* Python starts with SIGPIPE ignored, and what is ignored survives exec. The system call is made
 * directly because libc refuses the two signals that it keeps for itself. */
static void reset_signals(void)
{
    const unsigned char default_action[64] = {0}; /* SIG_DFL, no flags; at least as large */
    sigset_t none;

    for (int number = 1; number < _NSIG; number++)
        if (number != SIGKILL && number != SIGSTOP &&
            syscall(SYS_rt_sigaction, number, default_action, NULL, (size_t)_NSIG / 8) < 0)
            fail("reset signal dispositions");
    sigemptyset(&none);
    if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
        fail("unblock signals");
}

/* The kernel keeps an area of libc's up to date for each thread that has registered one (rseq(2)),
 * which in every new worker, and in the template after each, costs the fault of its page. Nobody
 * here uses it, and exec forgets it. */
static void unregister_rseq(void)
{
#if defined(SYS_rseq) && defined(RSEQ_SIG)
    char *area = (char *)__builtin_thread_pointer() + __rseq_offset;

    if (__rseq_size && shortcuts_are_taken())
        syscall(SYS_rseq, area, RSEQ_AREA_SIZE, RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
#endif
}

/* Become the program for the request on a connection, or answer that. */
static _Noreturn void serve_request(const struct rlimit *cpu_limit, struct program *program,
                                    struct worker *worker, enum carry_watch watch)
{
    const int connection = worker_wait(worker, NULL);
    char *words[3] = {NULL};
    struct front_request request;
    struct carry_ends ends;

    worker_leave(worker);
    if (cpu_limit && setrlimit(RLIMIT_CPU, cpu_limit) < 0)
        worker_fail(worker, STEP_PREPARE, errno, EXIT_SYSTEM);
    request = front_take(&front, connection, connection);
    program->front = &front;
    if (request.path) {
        program->executable =
            (struct executable){request.path, request.folder, request.path, words};
        program->is_chosen = true;
    }
    if (!carry_begin(&program->carriage, connection, connection, request.body_length,
                     watch == CARRY_TO_FINISH || front.answer_limit_ms, &ends))
        worker_fail(worker, STEP_WIRE, errno, EXIT_SYSTEM);
    program->carriage.watch = watch;
    if (program->carriage.is_carried && !program->farewell)
        program->farewell = &farewell_answered;
    program_become(program, worker, &ends, request.entries);
}

/* For a service whose requests name programs. */
static int take_or_hand_on(const struct worker *worker, int accepted)
{
    (void)worker;
    return front_hand_on(&front, accepted) ? -1 : accepted;
}

/* Serve a FastCGI connection, for each request of which a program is started. */
static _Noreturn void serve_connection(const struct plan *plan, const struct program *program,
                                       struct worker *worker)
{
    const bool is_chosen = rule_is_there(&front.rule);
    struct service service = {
        .start = is_chosen ? program_start_chosen : program_start,
        .means = is_chosen ? (const void *)&front.rule : &program->executable,
        .rule = &front.rule,
        .favourites = front.favourites,
        .variables = environ,
        .allowed_names = rule_names(&front.rule, front.allowed_names),
        .cpu_limit = worker->cpu_limit,
    };

    fastcgi_worker_plan(&service, plan);
    if (service.stderr_mode == STDERR_INHERITED)
        dup2(program_open_stderr(program, STDERR_FILENO), STDERR_FILENO);
    fastcgi_worker_serve(worker, &service);
    _exit(EXIT_SYSTEM); /* nothing has been prepared */
}

static _Noreturn void keep(void)
{
    static struct keeper keeper;

    /* Any other caller has no such child. */
    if (read(STDIN_FILENO, &keeper, sizeof keeper) != sizeof keeper || keeper.program <= 0)
        _exit(EXIT_WRONG_CALL);
    close(STDIN_FILENO);
    keeper_stay(&keeper);
}

/* Give a program that has no request its connection. */
static _Noreturn void serve(struct program *program, struct worker *worker,
                            struct environment *environment)
{
    const int connection = worker_wait(worker, environment);
    const struct carry_ends ends = {connection, connection};

    carry_leave_alone(&program->carriage, connection);
    program_become(program, worker, &ends, environment->entries);
}

/* The program's call, with room for the two words that may come before its other arguments. */
static struct executable read_program(const struct plan *plan)
{
    static char **words; /* as long as the process */
    const size_t count = plan->arguments.count;

    words = calloc(count + 2, sizeof *words);
    if (!words)
        fail("allocate the arguments");
    for (size_t i = 0; i < count; i++)
        words[i + 1] = (char *)plan_argument(plan, i);
    return (struct executable){plan_text(plan, plan->path), NULL, words[1], words};
}

static struct front read_front(const struct plan *plan)
{
    return (struct front){
        .head_limit_ms = plan->head_limit_ms,
        .head_limit = plan->head_limit,
        .body_limit = plan->body_limit,
        .answer_limit_ms = plan->answer_limit_ms,
        .allowed_names = plan_text(plan, plan->request_variables),
        .rule = {.root = plan_text(plan, plan->root),
                 .scripts = plan_text(plan, plan->scripts),
                 .indexes = plan_text(plan, plan->indexes)},
        .favourites = {.token = plan_text(plan, plan->token), .master = plan->master},
        .note = remark_write,
        .settle_name = identity_settle,
    };
}

int main(int count, char **words)
{
    /* Workers write into it: not on the stack, of which each of them touches little. */
    static struct environment environment;
    static struct rlimit cpu_limit;
    const struct plan *plan;
    const char *refused;
    struct farewell linger;
    struct template template;
    struct worker worker;
    struct program program = {0};

    if (count == 1 && strcmp(words[0], KEEPER_NAME) == 0)
        keep();
    check_descriptors();
    shortcuts_choose();
    plan = take_plan();
    close_descriptors_on_exec(plan->present);
    reset_signals();
    refused = privileges_apply(plan, RULESET_FD);
    if (refused)
        fail(refused);
    if (plan->present & PLAN_HAS_RULESET)
        close(RULESET_FD);
    prctl(PR_SET_NAME, "socketd-zygote");
    map_board(&template.board);
    template.doorbell = (struct doorbell){.master = plan->master, .fd = DOORBELL_FD};
    template.slots_fd = SLOTS_FD;
    template.groups_fd = plan->present & PLAN_HAS_GROUPS ? GROUPS_FD : -1;
    template.thread_id = NULL;
    program.executable = read_program(plan);
    program.stderr_target = plan->stderr_target;
    program.kill_ms = plan->kill_ms;
    linger = (struct farewell){.limit_ms = plan->linger_ms, .silence_ms = plan->linger_ms};
    if (linger.limit_ms)
        program.farewell = &linger;
    if (!environment_init(&environment, environ, ENVIRONMENT_MOST))
        fail("allocate the environment");
    front = read_front(plan);
    if (front.head_limit_ms && !front_prepare(environ))
        reject("too many variables in the environment");
    front.keeper_of_notes = &worker;
    worker.board = template.board;
    worker.doorbell = template.doorbell;
    worker.listener_fd = LISTENER_FD;
    unregister_rseq();
    if (!shortcuts_keep_code_through_fork())
        fail("protect the code again");
    worker.cpu_limit = plan_cpu_limit(plan, &cpu_limit) ? &cpu_limit : NULL;
    worker.end_idle = NULL;
    worker.take = NULL;
    worker.number = template_run(&template);
    if (plan->protocol == PROTOCOL_FASTCGI)
        serve_connection(plan, &program, &worker);
    if (front.head_limit_ms) {
        const struct rlimit *limit = worker.cpu_limit;

        /* One that hands connections on may live long: the limit is the program's. */
        worker.cpu_limit = NULL;
        worker.take = front.favourites.token ? take_or_hand_on : NULL;
        serve_request(limit, &program, &worker,
                      plan->client_gone == CLIENT_GONE_FINISH ? CARRY_TO_FINISH : CARRY_TO_END);
    }
    if (plan->level == LEVEL_RELAY)
        instance_live(&program, &worker, &environment);
    serve(&program, &worker, &environment);
}
