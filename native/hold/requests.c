/*
 * The child is told of its request through the pipe that is its input: first the variables, then the
 * body. So there is nothing else to be closed, and where no request comes its input ends.
 *
 * It is made when the first bytes of a request are there. To make it ahead, while the connection or the
 * worker is idle, was measured: what the request is spared by that it loses by waking up a process that
 * has slept, and there would be one more for each that waits.
 *
 * In its memory is neither what other requests have said (see fastcgi_worker.c) nor what this one has,
 * until it has read that.
 *
 * Who serves the connection does not become a copy itself, so it can be divided as the template can:
 * what the program has registered for a fork is called once in each child.
 */
#include "requests.h"

#include "exits.h"
#include "fastcgi/program.h"
#include "fastcgi/signals.h"
#include "fastcgi_worker.h"
#include "front/choice.h"
#include "front/front.h"
#include "template.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OURS, CHILDS, ENDS };
enum { INPUT, OUTPUT, ERRORS, PIPES };

/* What comes before the body. */
struct order {
    uint32_t count;
    uint32_t size; /* of the texts */
    uint32_t has_folder; /* to go to: the first of the texts */
    char texts[REQUEST_TEXT_SIZE + 256];
};
enum { WIPED_SIZE = 16 * 1024 }; /* a signal's frame is 11 KiB at most today */
enum { ORDER_HEAD_SIZE = offsetof(struct order, texts) };

static struct {
    pid_t pid; /* of a child that waits; 0: there is none */
    int error; /* why there is none */
    int fds[PIPES];
} child;

static char *service_variables[REQUEST_ENTRIES + 1];
static pid_t *thread_id;
static pid_t parent;
/* Of the present request, in memory that no child has. */
static struct said {
    struct order order;
    struct choice choice;
} *said;
static struct streams own;  /* of a child */

bool requests_prepare(char *const service_entries[])
{
    size_t count = 0;

    for (; service_entries[count]; count++) {
        if (count == REQUEST_ENTRIES)
            return false;
        service_variables[count] = service_entries[count];
    }
    return true;
}

static void close_pipes(int pipes[PIPES][ENDS], int end)
{
    for (int i = 0; i < PIPES; i++)
        if (pipes[i][end] >= 0)
            close(pipes[i][end]);
}

/* Without a pipe of its own for what it complains of, a child has the template's stderr, which is what
 * the service has asked for. */
static bool open_pipes(const struct service *service, int pipes[PIPES][ENDS])
{
    for (int i = 0; i < PIPES; i++) {
        int ends[2];

        if (i == ERRORS && service->stderr_mode != STDERR_TO_CLIENT)
            continue;
        if (pipe2(ends, O_CLOEXEC) < 0)
            return false;
        pipes[i][OURS] = ends[i == INPUT];
        pipes[i][CHILDS] = ends[i != INPUT];
    }
    /* Not by pipe2(): the child's end would not block either. */
    return fcntl(pipes[INPUT][OURS], F_SETFL, O_WRONLY | O_NONBLOCK) == 0;
}

/* In the child. */
static void begin(int pipes[PIPES][ENDS])
{
    signals_forget();
    close_pipes(pipes, OURS);
    own = (struct streams){pipes[INPUT][CHILDS], pipes[OUTPUT][CHILDS], pipes[ERRORS][CHILDS]};
    prctl(PR_SET_NAME, "socketd-copy");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(0);
}

/* It may have been killed since. */
static bool is_there(void)
{
    return child.pid && kill(child.pid, 0) == 0;
}

static void forget_child(void)
{
    for (int i = 0; child.pid && i < PIPES; i++)
        if (child.fds[i] >= 0)
            close(child.fds[i]);
    child.pid = 0;
}

/* What is below the stack's end has been registers of this process: the kernel puts them there for a
 * signal handler, and they may have held what others have said. */
static __attribute__((noinline)) void wipe_stack(void)
{
    char below[WIPED_SIZE];

    explicit_bzero(below, sizeof below);
}

static bool divide(const struct service *service)
{
    int pipes[PIPES][ENDS] = {{-1, -1}, {-1, -1}, {-1, -1}};
    pid_t pid = -1;

    if (is_there())
        return false;
    forget_child();
    parent = getpid();
    wipe_stack();
    if (open_pipes(service, pipes))
        pid = (pid_t)template_clone(SIGCHLD, NULL, thread_id);
    if (pid == 0) {
        begin(pipes);
        return true;
    }
    child.error = pid < 0 ? errno : 0;
    close_pipes(pipes, CHILDS);
    if (pid < 0) {
        close_pipes(pipes, OURS);
        return false;
    }
    setpgid(pid, pid); /* so that all of it can be told to end */
    child.pid = pid;
    for (int i = 0; i < PIPES; i++)
        child.fds[i] = pipes[i][OURS];
    return false;
}

static void end(const struct service *service)
{
    const pid_t pid = child.pid;

    (void)service;
    forget_child();
    if (pid && kill(pid, SIGKILL) == 0)
        waitpid(pid, NULL, 0);
}

static void have_room(void)
{
    if (said)
        return;
    said = mmap(NULL, sizeof *said, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (said == MAP_FAILED || madvise(said, sizeof *said, MADV_DONTFORK) < 0)
        _exit(EXIT_SYSTEM); /* it would be in the memory of the next child */
}

static bool append(struct order *order, const char *text)
{
    const size_t length = strlen(text) + 1;

    if (length > sizeof order->texts - order->size)
        return false;
    memcpy(order->texts + order->size, text, length);
    order->size += (uint32_t)length;
    return true;
}

static bool write_order(const struct request *request, const char *folder)
{
    struct order *order = &said->order;

    order->size = 0;
    order->has_folder = folder != NULL;
    if (folder && !append(order, folder))
        return false;
    for (size_t i = request->own_count; i < request->count; i++)
        if (!append(order, request->entries[i]))
            return false;
    order->count = (uint32_t)(request->count - request->own_count);
    return true;
}

/* What an exec in that folder would say, but for what changes in between. */
static int why_not_in(const char *folder)
{
    struct stat file;

    if (!folder)
        return 0;
    if (stat(folder, &file) < 0 || access(folder, X_OK) < 0)
        return errno;
    return S_ISDIR(file.st_mode) ? 0 : ENOTDIR;
}

static const struct refusal *start(const struct service *service, struct request *request,
                                   bool has_body, struct backend *backend)
{
    static const struct refusal system_failure = {
        "503 Service Unavailable", "the system lacks what carrying out the request takes"};
    static const struct refusal too_long = {
        "431 Request Header Fields Too Large", "the variables of the request are too long"};
    const struct refusal *refused = NULL;
    const char *folder = NULL;

    have_room();
    backend->name = service->means;
    if (service->own_path) {
        refused = choice_make(service->rule, request, &said->choice);
        if (!refused && strcmp(said->choice.path, service->own_path) != 0) {
            end(service);
            return program_start_at(service, &said->choice, request, has_body, backend);
        }
        folder = said->choice.folder;
        backend->error = refused ? 0 : why_not_in(folder);
    }
    if (!refused && backend->error)
        refused = front_why_not_run(backend->error);
    if (!refused)
        refused = request_complete(request);
    if (refused)
        return refused;
    if (!child.pid) {
        backend->error = child.error;
        return &system_failure;
    }
    if (!write_order(request, folder))
        return &too_long;
    backend->body_fd = child.fds[INPUT];
    backend->answer_fd = child.fds[OUTPUT];
    backend->stderr_fd = child.fds[ERRORS];
    backend->group = child.pid;
    backend->head = (const char *)&said->order;
    backend->head_left = ORDER_HEAD_SIZE + said->order.size;
    child.pid = 0;
    backend_write_head(backend);
    if (!has_body)
        backend_end_body(backend);
    return NULL;
}

void requests_serve(struct worker *worker, struct service *service, pid_t *id)
{
    thread_id = id;
    service->start = start;
    service->prepare = divide;
    service->end = end;
    service->has_copies = true;
    service->variables = service_variables;
    fastcgi_worker_serve(worker, service);
}

static void take(void *to, size_t size)
{
    for (size_t taken = 0; taken < size;) {
        ssize_t count = read(own.input, (char *)to + taken, size - taken);

        if (count > 0)
            taken += (size_t)count;
        else if (count == 0 || errno != EINTR)
            _exit(0); /* there is no request, or who has it is gone */
    }
}

char **requests_take(struct streams *streams, const struct rlimit *cpu_limit)
{
    static char *entries[REQUEST_ENTRIES + 1];
    static struct order taken;
    char *text = taken.texts;

    take(&taken, ORDER_HEAD_SIZE);
    take(taken.texts, taken.size);
    if (taken.has_folder) {
        if (chdir(text) < 0)
            _exit(EXIT_NOT_EXECUTABLE); /* it was there a moment ago */
        text += strlen(text) + 1;
    }
    for (uint32_t i = 0; i < taken.count; i++, text += strlen(text) + 1)
        entries[i] = text;
    if (cpu_limit && setrlimit(RLIMIT_CPU, cpu_limit) < 0)
        _exit(EXIT_SYSTEM);
    *streams = own;
    return entries;
}

void requests_follow(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(0);
}
