/*
 * Fuzzes whole connections of fcgi2cgi: its loop, with real programs, pools, sockets and pipes.
 *
 * The input chooses what the wrapper runs, what that does, and what a web server says, in which
 * pieces, at which moments. Rules that hold whatever is said: what comes back is FastCGI, each
 * request ends once at most, no descriptor and no process is left, and nothing is waited for without
 * an end. As long as what is said is in order, the answer is the one that the plan of the program
 * makes of it.
 *
 * Beside the fuzzer lies a folder with its programs, see the makefile.
 */
#include "fcgi-stream/answers.h"
#include "fcgi-stream/client.h"
#include "fcgi-stream/pool_side.h"
#include "fcgi-stream/rule.h"
#include "fcgi-stream/virtual.h"
#include "fastcgi/program.h"
#include "fastcgi/responder.h"
#include "fastcgi/signals.h"
#include "front/rule.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sanitizer/common_interface_defs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *count, char ***words);
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum {
    OUR_FIRST_FD = 100,
    WATCHED_FDS = 100,
    LEFT_SLICES = 500,
    LEFT_SLICE_MS = 10,
    CHILDREN_SIZE = 256,
    HEX_SIZE = 2 * PLAN_MOST + 1,
};

enum backend_kind { PROGRAM, ROOT, MISSING_PROGRAM, UNIX_POOL, TCP_POOL, NO_POOL, BACKENDS };
enum connection_kind { UNIX_CONNECTION, TCP_CONNECTION, PIPES, CONNECTIONS };

static const int signals[] = {SIGCHLD, SIGWINCH, SIGHUP, SIGINT, SIGTERM, SIGPIPE};
enum { SIGNALS = sizeof signals / sizeof *signals };

static struct {
    char folder[PATH_MAX];
    char program[PATH_MAX + 8];
    char missing[PATH_MAX + 8];
    struct pool pools[3]; /* by UNIX and TCP socket, and where nobody listens */
    int listener;         /* for connections of the wrapper by TCP */
    int null;
    int report; /* standard error; that of the wrapper leads nowhere */
    struct conversation conversation;
} world;

/* Where a descriptor of ours is in nobody's way. */
static int out_of_the_way(int fd)
{
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, OUR_FIRST_FD);

    check_that(fd >= 0 && moved >= 0, "there are descriptors");
    close(fd);
    return moved;
}

static void not_blocking(int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static void mask_signals(int how)
{
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < SIGNALS; i++)
        sigaddset(&set, signals[i]);
    sigprocmask(how, &set, NULL);
}

static void find_programs(const char *words_0)
{
    char *own = realpath("/proc/self/exe", NULL);

    check_that(own && strlen(own) + sizeof ".programs" < PATH_MAX, words_0);
    snprintf(world.folder, sizeof world.folder, "%s.programs", own);
    snprintf(world.program, sizeof world.program, "%s/plan", world.folder);
    snprintf(world.missing, sizeof world.missing, "%s/none", world.folder);
    free(own);
    check_that(access(world.program, X_OK) == 0, "there is a program: build with make fuzz");
}

int LLVMFuzzerInitialize(int *count, char ***words)
{
    struct pool nowhere;

    (void)count;
    world.report = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, OUR_FIRST_FD);
    report_to(world.report);
    __sanitizer_set_report_fd((void *)(intptr_t)world.report); // NOLINT: what it takes
    find_programs(**words);
    world.null = out_of_the_way(open("/dev/null", O_RDWR | O_CLOEXEC));
    pool_side_listen(AF_UNIX, &world.pools[0]);
    pool_side_listen(AF_INET, &world.pools[1]);
    check_that(!pool_parse(&world.pools[2], "unix:/nowhere/at/all"), "a path is a pool");
    world.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    nowhere = world.pools[1];
    ((struct sockaddr_in *)&nowhere.address)->sin_port = 0;
    check_that(bind(world.listener, (const struct sockaddr *)&nowhere.address,
                    nowhere.address_size) == 0 &&
                   listen(world.listener, 1) == 0,
               "there is a port");
    /* The fuzzer is about to start a thread, which must not be the one to get them. */
    mask_signals(SIG_BLOCK);
    return 0;
}

/* The ends of a connection: the wrapper's input and output, and the client's. */
static void connect_pair(enum connection_kind kind, int ours[2], int theirs[2])
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    int ends[2] = {-1, -1}, back[2] = {-1, -1};
    const int on = 1;
    bool is_made = false;

    if (kind == PIPES) {
        is_made = pipe2(ends, O_CLOEXEC) == 0 && pipe2(back, O_CLOEXEC) == 0;
        ours[0] = out_of_the_way(ends[0]);
        ours[1] = out_of_the_way(back[1]);
        theirs[0] = out_of_the_way(back[0]);
        theirs[1] = out_of_the_way(ends[1]);
        check_that(is_made, "there are pipes");
        return;
    }
    if (kind == UNIX_CONNECTION) {
        is_made = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0;
    } else {
        ends[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        /* Each piece goes at once, or it would look as if nothing moved. */
        setsockopt(ends[1], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        is_made = getsockname(world.listener, (struct sockaddr *)&address, &size) == 0 &&
                  connect(ends[1], (const struct sockaddr *)&address, size) == 0;
        ends[0] = accept4(world.listener, NULL, NULL, SOCK_CLOEXEC);
    }
    check_that(is_made && ends[0] >= 0, "there is a connection");
    ours[0] = ours[1] = out_of_the_way(ends[0]);
    theirs[0] = theirs[1] = out_of_the_way(ends[1]);
}

static void note_open(bool is_open[WATCHED_FDS])
{
    for (int fd = 0; fd < WATCHED_FDS; fd++)
        is_open[fd] = fcntl(fd, F_GETFD) >= 0;
}

/* The wrapper keeps /dev/null once it has opened it; it is the one more that may be. */
static void check_descriptors(const bool were_open[WATCHED_FDS])
{
    static bool has_null;
    bool are_open[WATCHED_FDS];

    note_open(are_open);
    for (int fd = 0; fd < WATCHED_FDS; fd++) {
        if (are_open[fd] == were_open[fd])
            continue;
        check_that(!has_null && are_open[fd], "no descriptor is left, nor closed twice");
        has_null = true;
    }
}

/* The fuzzer itself may have some, to find the names of functions. */
static void note_children(char children[CHILDREN_SIZE])
{
    int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    ssize_t size = read(fd, children, CHILDREN_SIZE - 1);

    children[size < 0 ? 0 : size] = '\0';
    close(fd);
}

static void check_processes(const char were_there[CHILDREN_SIZE])
{
    char children[CHILDREN_SIZE];

    for (int slice = 0; slice < LEFT_SLICES; slice++) {
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        note_children(children);
        if (strcmp(children, were_there) == 0)
            return;
        poll(NULL, 0, LEFT_SLICE_MS);
    }
    check_that(false, "no process is left");
}

/* The wrapper's handlers go again, those of the fuzzer come back. */
static void run(const struct service *service, int ours[2])
{
    struct sigaction former[SIGNALS];

    for (size_t i = 0; i < SIGNALS; i++)
        sigaction(signals[i], NULL, &former[i]);
    dup2(ours[0], STDIN_FILENO);
    dup2(ours[1], STDOUT_FILENO);
    dup2(world.null, STDERR_FILENO);
    close(ours[0]);
    if (ours[1] != ours[0])
        close(ours[1]);
    memset(&world.conversation, 0, sizeof world.conversation);
    signals_note();
    check_that(responder_run(&world.conversation, service, STDIN_FILENO, STDOUT_FILENO) >= 0, "waiting is possible");
    dup2(world.null, STDIN_FILENO);
    dup2(world.null, STDOUT_FILENO);
    dup2(world.report, STDERR_FILENO);
    for (size_t i = 0; i < SIGNALS; i++) {
        signal(signals[i], SIG_IGN); /* what is pending is dropped */
        sigaction(signals[i], &former[i], NULL);
    }
    mask_signals(SIG_UNBLOCK);
}

static void serve(struct input *input, enum backend_kind backend, enum connection_kind connection,
                  const uint8_t *plan, size_t steps)
{
    static char plan_variable[sizeof "PLAN=" + HEX_SIZE];
    static char path_variable[] = "PATH=/bin", name[] = "plan";
    char *variables[] = {path_variable, plan_variable, NULL};
    char *words[] = {NULL, NULL, NULL};
    const struct executable executable = {
        backend == MISSING_PROGRAM ? world.missing : world.program, world.folder, name, words};
    const struct rule folder = {.root = world.folder};
    struct service service = {.name = "fcgi2cgi",
                              .start = program_start,
                              .means = &executable,
                              .variables = variables,
                              .stderr_mode = (enum stderr_mode)(input_byte(input) % 3),
                              .head_limit_ms = 30000,
                              .head_limit = REQUEST_HEAD_MOST,
                              .keep_limit_ms = 75000,
                              .kill_ms = 5000};
    const struct client_service wanted = {
        .plan = plan,
        .steps = steps,
        .is_pool = backend >= UNIX_POOL,
        .is_tcp = backend == TCP_POOL || backend == NO_POOL,
        .is_missing = backend == MISSING_PROGRAM,
        .path = backend == ROOT ? "/plan/and/more" : NULL,
    };
    int ours[2], theirs[2];
    size_t at = (size_t)snprintf(plan_variable, sizeof plan_variable, "PLAN=");

    for (size_t i = 0; i < steps; i++)
        at += (size_t)snprintf(plan_variable + at, sizeof plan_variable - at, "%02x", plan[i]);
    if (backend == ROOT) {
        service.start = program_start_chosen;
        service.means = &folder;
    } else if (backend >= UNIX_POOL) {
        service.start = pool_start;
        service.means = &world.pools[backend - UNIX_POOL];
    }
    connect_pair(connection, ours, theirs);
    not_blocking(theirs[0]);
    not_blocking(theirs[1]);
    answers_begin(service.stderr_mode == STDERR_TO_CLIENT);
    client_begin(theirs[0], theirs[1], &wanted, input);
    pool_side_begin(plan, steps);
    virtual_begin();
    run(&service, ours);
    client_end();
    pool_side_end();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = {bytes, bytes + size};
    bool were_open[WATCHED_FDS];
    unsigned choice = input_byte(&input);
    size_t steps = input_byte(&input) % (PLAN_MOST + 1);
    uint8_t plan[PLAN_MOST];
    char were_there[CHILDREN_SIZE];

    if (size < 4)
        return 0;
    note_children(were_there);
    for (size_t i = 0; i < steps; i++)
        plan[i] = (uint8_t)input_byte(&input);
    note_open(were_open);
    serve(&input, (enum backend_kind)(choice % BACKENDS),
          (enum connection_kind)(choice / BACKENDS % CONNECTIONS), plan, steps);
    check_descriptors(were_open);
    check_processes(were_there);
    return 0;
}
