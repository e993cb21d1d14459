/*
 * The template loop.
 *
 * A worker is cloned with CLONE_PARENT: it is a child of the template's own parent, the master, so
 * SIGCHLD and wait stay in one place. With that flag the kernel takes the exit signal from the
 * caller (SIGCHLD, which any exec restores), whatever the flags say. CLONE_PARENT_SETTID has the
 * kernel write the pid into the shared record before the child can run, so a master that sees
 * any other sign of a worker sees its pid as well.
 */
#include "template.h"

#include "exits.h"
#include "group.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BATCH_NUMBERS = 1024, SLOT_MASK = (1 << 15) - 1 };

static _Noreturn void fail(int status, const char *line)
{
    /* There is no way left to report that this write fails, too. */
    ssize_t ignored = write(STDERR_FILENO, line, strlen(line));

    (void)ignored;
    _exit(status);
}

/* fork() would run the atfork handlers of the program we may be in, and cannot name a parent. What
 * it does beyond the system call is to have the kernel refresh the thread id that libc keeps: a
 * child that execs does not need it, one that goes on in the program does (raise(), mutexes). */
long template_clone(unsigned long flags, pid_t *pid, pid_t *thread_id)
{
    if (thread_id)
        flags |= CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
#if defined(__s390__)
    return syscall(SYS_clone, 0UL, flags, pid, thread_id, 0UL);
#elif defined(__x86_64__) || defined(__alpha__)
    return syscall(SYS_clone, flags, 0UL, pid, thread_id, 0UL);
#else
    /* CONFIG_CLONE_BACKWARDS: the thread's own storage comes before the child's id. */
    return syscall(SYS_clone, flags, 0UL, pid, 0UL, thread_id);
#endif
}

/* Of an order: the number of the slot. Where workers have control groups the turn of that slot's group
 * stands above it, and the order as a whole is the name of the group; see socketd/workers/groups.py. */
static uint32_t slot_of(const struct template *template, uint32_t order)
{
    return template->groups_fd < 0 ? order : order & SLOT_MASK;
}

/* True in the child only. */
static bool bear(const struct template *template, uint32_t order)
{
    const unsigned long flags = CLONE_PARENT | CLONE_PARENT_SETTID;
    const struct board *board = &template->board;
    const uint32_t number = slot_of(template, order);
    long pid;

    if (number >= board->capacity)
        fail(EXIT_WRONG_CALL, "socketd: slot number beyond the board\n");
    if (template->groups_fd >= 0)
        pid = group_clone(template->groups_fd, order, flags, &board->records[number].pid,
                          template->thread_id);
    else
        pid = template_clone(flags, &board->records[number].pid, template->thread_id);
    if (pid == 0)
        return true;
    if (pid < 0) {
        board_write_failure(board, number, STEP_FORK, errno);
        board_set_state(board, number, SLOT_STILLBORN);
        doorbell_ring(&template->doorbell);
    }
    return false;
}

/* Read on behind the `filled` bytes already there; returns how many there are then. */
static size_t read_slots(int fd, unsigned char *bytes, size_t filled, size_t size)
{
    for (;;) {
        ssize_t got = read(fd, bytes + filled, size - filled);

        if (got > 0)
            return filled + (size_t)got;
        if (got == 0)
            _exit(0);
        if (errno == EAGAIN) {
            struct pollfd readable = {.fd = fd, .events = POLLIN};

            poll(&readable, 1, -1);
        } else if (errno != EINTR) {
            fail(EXIT_SYSTEM, "socketd: cannot read slot numbers\n");
        }
    }
}

uint32_t template_run(const struct template *template)
{
    /* Static, so that the stack pages a child writes to are few. */
    static union {
        uint32_t numbers[BATCH_NUMBERS];
        unsigned char bytes[BATCH_NUMBERS * sizeof(uint32_t)];
    } batch;
    size_t filled = 0;
    sigset_t all;

    sigfillset(&all);
    for (;;) {
        sigset_t before;
        size_t count;

        filled = read_slots(template->slots_fd, batch.bytes, filled, sizeof batch);
        count = filled / sizeof *batch.numbers;
        /* A child must not run a handler of the program it was copied from, and a signal meant
         * for it has to wait until it has its own. */
        sigprocmask(SIG_SETMASK, &all, &before);
        for (size_t i = 0; i < count; i++) {
            if (bear(template, batch.numbers[i])) {
                /* The master learns from EPIPE that its template is gone: hold no end open. */
                close(template->slots_fd);
                return slot_of(template, batch.numbers[i]);
            }
        }
        sigprocmask(SIG_SETMASK, &before, NULL);
        /* A pipe that was full may have taken only a part of a number. */
        filled -= count * sizeof *batch.numbers;
        memmove(batch.bytes, batch.numbers + count, filled);
    }
}
