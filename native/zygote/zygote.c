/*
 * socketd-zygote: the template whose workers exec the program.
 *
 *     socketd-zygote --master PID --stderr socket|inherit|syslog|null --path FILE
 *         [--uid UID] [--gid GID] [--groups GID,...] [--umask OCTAL] [--directory PATH]
 *         [--nice N] [--limit NAME=SOFT:HARD]... [--no-new-privs yes]
 *         [--linger-ms MILLISECONDS]
 *         [--scgi-head-ms MILLISECONDS [--scgi-root FOLDER] [--scgi-names LIST] | --ready relay] -- ARG0 [ARG...]
 *     socketd-zygote --keep PID:SENDER:LIMIT:SILENCE
 *
 * Owns the call: arguments, the descriptors below, the state of the process that workers inherit.
 * The environment is the program's, less the variables of a connection. Must not know what the
 * loop and the worker do with it all.
 *
 * Called in the second way it is the keeper of a child that it has already: of a copy of a held
 * program, which hands on its place as a parent with nothing of its memory. Descriptor 0 is the
 * connection. See hold/copy.c.
 *
 * Exits 0 when the slots pipe ends, 100 after a wrong call, 111 when a system call failed.
 */
#include "front/front.h"
#include "front/keeper.h"
#include "front/names.h"
#include "instance.h"
#include "privileges.h"
#include "program.h"
#include "template.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
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
    FIRST_FOREIGN_FD = 7,
};

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

enum { RSEQ_AREA_SIZE = 32 }; /* what glibc registers while its struct rseq is not larger */

enum { EXIT_WRONG_CALL = 100 };

extern char **environ;

struct call {
    pid_t master;
    const char *stderr_mode;
    const char *path;
    char **arguments;
    struct front front;
    struct privileges privileges;
    struct farewell linger; /* all zero: nobody stays behind the program */
    bool is_relaying;
};

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

static pid_t parse_pid(const char *text)
{
    char *end;
    long pid;

    errno = 0;
    pid = strtol(text, &end, 10);
    if (errno || end == text || *end || pid <= 0 || pid != (pid_t)pid)
        reject("--master is not a process id");
    return (pid_t)pid;
}

static int parse_milliseconds(const char *text, const char *complaint)
{
    char *end;
    long number;

    errno = 0;
    number = strtol(text, &end, 10);
    if (errno || end == text || *end || number <= 0 || number > INT_MAX)
        reject(complaint);
    return (int)number;
}

static const char *parse_names(const char *text)
{
    if (!names_is_list(text))
        reject("--scgi-names is not a list of names");
    return text;
}

static void parse_privilege(struct privileges *privileges, char **words)
{
    const char *complaint = privileges_take(privileges, words[0], words[1]);

    if (complaint)
        reject(*complaint ? complaint : "unknown option");
}

static enum stderr_target parse_stderr(const char *mode)
{
    static const char *const names[] = {
        [STDERR_SOCKET] = "socket",
        [STDERR_INHERIT] = "inherit",
        [STDERR_SYSLOG] = "syslog",
        [STDERR_NULL] = "null",
    };

    for (enum stderr_target target = STDERR_SOCKET; target <= STDERR_NULL; target++)
        if (strcmp(mode, names[target]) == 0)
            return target;
    reject("--stderr is not one of socket, inherit, syslog, null");
}

static bool parse_ready(const char *level)
{
    if (strcmp(level, "relay") != 0)
        reject("--ready is not relay");
    return true;
}

static void parse(struct call *call, char **words)
{
    const char *master = NULL;

    for (; *words && strcmp(*words, "--") != 0; words += 2) {
        if (!words[1])
            reject("an option lacks its value");
        if (strcmp(*words, "--master") == 0)
            master = words[1];
        else if (strcmp(*words, "--stderr") == 0)
            call->stderr_mode = words[1];
        else if (strcmp(*words, "--path") == 0)
            call->path = words[1];
        else if (strcmp(*words, "--scgi-head-ms") == 0)
            call->front.head_limit_ms =
                parse_milliseconds(words[1], "--scgi-head-ms is not a number of milliseconds");
        else if (strcmp(*words, "--linger-ms") == 0)
            call->linger.limit_ms = call->linger.silence_ms =
                parse_milliseconds(words[1], "--linger-ms is not a number of milliseconds");
        else if (strcmp(*words, "--scgi-root") == 0)
            call->front.root = words[1];
        else if (strcmp(*words, "--scgi-names") == 0)
            call->front.allowed_names = parse_names(words[1]);
        else if (strcmp(*words, "--ready") == 0)
            call->is_relaying = parse_ready(words[1]);
        else
            parse_privilege(&call->privileges, words);
    }
    if (!master || !call->stderr_mode || !call->path)
        reject("--master, --stderr and --path are all needed");
    if (!words[0] || !words[1])
        reject("no arguments for the program after --");
    if (call->path[0] != '/')
        reject("--path is not absolute");
    if ((call->front.root || call->front.allowed_names) && !call->front.head_limit_ms)
        reject("--scgi-root or --scgi-names without --scgi-head-ms");
    call->master = parse_pid(master);
    if (getppid() != call->master)
        reject("the parent is not the process named by --master");
    call->arguments = words + 1;
}

static void check_descriptors(void)
{
    struct stat slots;
    int listening = 0;
    socklen_t size = sizeof listening;
    int flags;

    for (int fd = 0; fd <= DOORBELL_FD; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            reject("descriptors 0 to 6 are not all open");
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
static void close_descriptors_on_exec(void)
{
    for (int fd = LISTENER_FD; fd <= DOORBELL_FD; fd++)
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
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

/* A child of fork() starts with none of the pages of a mapped file, unless the mapping holds a page
 * of the process's own: then its page tables are copied like those of any private memory
 * (vma_needs_copy() in the kernel). Faulting in code and constants again cost a worker more than
 * its fork. So one page of each gets rewritten with what it holds. Where a policy forbids that, all
 * is as it was. */
static int keep_pages_through_fork(struct dl_phdr_info *object, size_t size, void *unused)
{
    const uintptr_t page_mask = (uintptr_t)sysconf(_SC_PAGESIZE) - 1;

    (void)size;
    (void)unused;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        uintptr_t begin = (object->dlpi_addr + segment->p_vaddr) & ~page_mask;
        uintptr_t end = object->dlpi_addr + segment->p_vaddr + segment->p_memsz;
        int protection = PROT_READ | (segment->p_flags & PF_X ? PROT_EXEC : 0);
        volatile char *first = (volatile char *)begin;

        if (segment->p_type != PT_LOAD || segment->p_flags & PF_W)
            continue;
        if (mprotect((void *)begin, end - begin, protection | PROT_WRITE) < 0)
            continue;
        *first = *first;
        if (mprotect((void *)begin, end - begin, protection) < 0)
            fail("protect the code again");
        /* Before Linux 5.14 there is no such advice; then only what was used is there. */
        madvise((void *)begin, end - begin, MADV_POPULATE_READ);
    }
    return 0;
}

/* The kernel keeps an area of libc's up to date for each thread that has registered one (rseq(2)),
 * which in every new worker, and in the template after each, costs the fault of its page. Nobody
 * here uses it, and exec forgets it. */
static void unregister_rseq(void)
{
#if defined(SYS_rseq) && defined(RSEQ_SIG)
    char *area = (char *)__builtin_thread_pointer() + __rseq_offset;

    if (__rseq_size)
        syscall(SYS_rseq, area, RSEQ_AREA_SIZE, RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
#endif
}

/* Become the program for the request on a connection, or answer that. */
static _Noreturn void serve_request(const struct front *front, struct program *program,
                                    struct worker *worker, int connection)
{
    char *words[3] = {NULL};
    struct front_request request;

    worker_leave(worker);
    request = front_take(front, connection, connection);
    program->has_front = true;
    if (request.path) {
        program->executable =
            (struct executable){request.path, request.folder, request.path, words};
        program->is_chosen = true;
    }
    if (request.has_body && !program->farewell)
        program->farewell = &farewell_answered;
    program_become(program, worker, connection, request.entries);
}

static _Noreturn void keep(const char *text)
{
    struct farewell farewell;
    struct keeper keeper = {.connection = STDIN_FILENO, .farewell = &farewell};
    char *end;
    pid_t program = (pid_t)strtol(text, &end, 10);

    keeper.group_sender = (pid_t)strtol(end + (*end == ':'), &end, 10);
    farewell.limit_ms = (int)strtol(end + (*end == ':'), &end, 10);
    farewell.silence_ms = (int)strtol(end + (*end == ':'), &end, 10);
    /* Whoever else calls it so has no such child. */
    if (*end || program <= 0)
        _exit(EXIT_WRONG_CALL);
    keeper_stay(&keeper, program);
}

int main(int count, char **words)
{
    /* Workers write into it: not on the stack, of which each of them touches little. */
    static struct environment environment;
    static struct call call;
    const char *refused;
    struct template template;
    struct worker worker;
    struct program program = {0};

    if (count < 1)
        reject("no arguments");
    if (count == 3 && strcmp(words[1], "--keep") == 0)
        keep(words[2]);
    parse(&call, words + 1);
    check_descriptors();
    close_descriptors_on_exec();
    reset_signals();
    refused = privileges_apply(&call.privileges);
    if (refused)
        fail(refused);
    prctl(PR_SET_NAME, "socketd-zygote");
    map_board(&template.board);
    template.doorbell = (struct doorbell){.master = call.master, .fd = DOORBELL_FD};
    template.slots_fd = SLOTS_FD;
    template.thread_id = NULL;
    /* Before the arguments there is "--", in the place of which the shell may stand. */
    program.executable =
        (struct executable){call.path, NULL, call.arguments[0], call.arguments - 1};
    program.stderr_target = parse_stderr(call.stderr_mode);
    if (call.linger.limit_ms)
        program.farewell = &call.linger;
    if (!environment_init(&environment, environ, ENVIRONMENT_VARIABLES))
        fail("allocate the environment");
    if (call.front.head_limit_ms && !front_prepare(&call.front, environ))
        reject("too many variables in the environment");
    worker.board = template.board;
    worker.doorbell = template.doorbell;
    worker.listener_fd = LISTENER_FD;
    unregister_rseq();
    dl_iterate_phdr(keep_pages_through_fork, NULL);
    worker.cpu_limit = privileges_cpu_limit(&call.privileges);
    worker.end_idle = NULL;
    worker.number = template_run(&template);
    if (call.front.head_limit_ms)
        serve_request(&call.front, &program, &worker, worker_wait(&worker, NULL));
    if (call.is_relaying)
        instance_live(&program, &worker, &environment);
    program_become(&program, &worker, worker_wait(&worker, &environment), environment.entries);
}
