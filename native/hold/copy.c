/*
 * Nothing execs here, so close-on-exec does not help: everything of ours is given back by name.
 *
 * A keeper of a copy would keep all of its memory: pages that the program goes on to write to would
 * be there twice. So unless the copy is done soon it becomes another program, the zygote, which is
 * small and lies beside the object. It has what it carries, and nothing else that the program has open.
 * Where an answer has a time limit it does that later, and gives the memory up before (shed.h).
 */
#include "copy.h"

#include "call.h"
#include "dispositions.h"
#include "front/keeper.h"
#include "front/syslog.h"
#include "options.h"
#include "shed.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { GREETING_SIZE = 1 << 20 };

bool copy_take_greeting(struct original *original, int other_end)
{
    ssize_t count;

    original->greeting = mmap(NULL, GREETING_SIZE, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (original->greeting == MAP_FAILED)
        return false;
    original->greeting_size = 0;
    while (original->greeting_size < GREETING_SIZE &&
           (count = recv(other_end, original->greeting + original->greeting_size,
                         GREETING_SIZE - original->greeting_size, MSG_DONTWAIT)) > 0)
        original->greeting_size += (size_t)count;
    if (original->greeting_size == 0)
        munmap(original->greeting, GREETING_SIZE);
    close(other_end);
    return true;
}

static void greet(const struct original *original, int output)
{
    size_t sent = 0;

    while (sent < original->greeting_size) {
        const char *rest = original->greeting + sent;
        const size_t size = original->greeting_size - sent;
        ssize_t count = send(output, rest, size, MSG_NOSIGNAL);

        if (count < 0 && errno == ENOTSOCK)
            count = write(output, rest, size);
        if (count >= 0)
            sent += (size_t)count;
        else if (errno != EINTR)
            return; /* the client is gone, as the program will find out by itself */
    }
}

static void put_at(const struct worker *worker, int fd, int place, int flags)
{
    if (dup3(fd, place, flags ? O_CLOEXEC : 0) < 0)
        worker_fail(worker, STEP_WIRE, errno, EXIT_SYSTEM);
}

static void put_in_place(const struct worker *worker, int fd, const struct twins *twins)
{
    for (int i = 0; i < twins->count; i++)
        put_at(worker, fd, twins->fds[i], twins->flags[i]);
}

static void put_streams(const struct worker *worker, const struct streams *streams,
                        const struct twins *wired)
{
    const int flags = streams->errors < 0 ? -1 : fcntl(STDERR_FILENO, F_GETFD);

    for (int i = 0; i < wired->count; i++)
        put_at(worker, wired->fds[i] == STDIN_FILENO ? streams->input : streams->output,
               wired->fds[i], wired->flags[i]);
    if (flags >= 0)
        put_at(worker, streams->errors, STDERR_FILENO, flags & FD_CLOEXEC);
}

static void close_streams(const struct streams *streams)
{
    close(streams->input);
    if (streams->output != streams->input)
        close(streams->output);
    if (streams->errors >= 0)
        close(streams->errors);
}

/* What one copy does to its socket, as to shut it down, is not done to that of others. */
static void open_log(const struct worker *worker, const struct twins *twins)
{
    int fd = twins->count ? syslog_open() : -1;

    if (fd < 0)
        return; /* not even /dev/null: the template's is left */
    put_in_place(worker, fd, twins);
    close(fd);
}

enum { BRIEF_MS = 100 };

static void close_range_of(unsigned first, unsigned last)
{
    if (first > last)
        return;
#ifdef SYS_close_range
    if (syscall(SYS_close_range, first, last, 0U) == 0 || errno != ENOSYS)
        return;
#endif
    /* Before Linux 5.9. */
    for (unsigned fd = first; fd <= last && fd < 1024; fd++)
        close((int)fd);
}

static void close_all_but(const int *kept, int count)
{
    unsigned first = 0;

    for (int left = count; left > 0; left--) {
        unsigned next = ~0U;

        for (int i = 0; i < count; i++)
            if ((unsigned)kept[i] >= first && (unsigned)kept[i] < next)
                next = (unsigned)kept[i];
        close_range_of(first, next - 1);
        first = next + 1;
    }
    close_range_of(first, ~0U);
}

/* Put it where the next one reads it, into a pipe that holds it: no standard descriptor is open. */
static void write_keeper(const struct keeper *keeper)
{
    int ends[2];

    if (pipe(ends) < 0)
        return;
    dup2(ends[0], STDIN_FILENO); /* most often it is that */
    if (write(ends[1], keeper, sizeof *keeper) < 0)
        close(STDIN_FILENO); /* the program is called in vain, and says so */
    close(ends[1]);
}

/* Stay with the board as long as an answer may be late, so that the log has a line; after a moment without
 * what is the program's of its memory. */
static void wait_for_answer(struct keeper *keeper, const struct front *front)
{
    const int first_ms = front->answer_limit_ms < BRIEF_MS ? front->answer_limit_ms : BRIEF_MS;
    const struct refusal *refused;

    if (keeper_run(keeper, first_ms))
        keeper_end_like(keeper->status);
    if (front->answer_limit_ms > first_ms)
        shed_memory();
    refused = keeper_wait_for_answer(keeper, front->answer_limit_ms - first_ms);
    if (refused)
        front_tell(front, refused);
}

/* Go on in a child. execve() is called in a process that never gets back into the program. */
static void leave_keeper(struct keeper *keeper, const struct front *front)
{
    char *const words[] = {(char *)KEEPER_NAME, NULL};
    char *const environment[] = {NULL};
    int kept[CARRY_FDS];
    int count;

    keeper->group = getpid();
    keeper->program = keeper_divide();
    if (keeper->program == 0)
        return;
    carry_lift(&keeper->carriage);
    close_all_but(kept, carry_list(&keeper->carriage, kept));
    if (front->answer_limit_ms)
        wait_for_answer(keeper, front);
    /* An exec costs more than all else of it. Who is done soon is spared that. */
    if (keeper_run(keeper, BRIEF_MS))
        keeper_end_like(keeper->status);
    count = carry_list(&keeper->carriage, kept);
    for (int i = 0; i < count; i++)
        fcntl(kept[i], F_SETFD, 0);
    write_keeper(keeper);
    syscall(SYS_execve, call.keeper, words, environment);
    keeper_stay(keeper); /* with its memory, then */
}

void copy_release(const struct original *original, struct worker *worker,
                  const struct streams *streams, struct keeper *keeper, const struct front *front)
{
    const struct carry_ends ends = {streams->input, streams->output};

    if (keeper)
        keeper->group_sender = worker->doorbell.master;
    put_streams(worker, streams, &original->wired);
    options_set(streams->input);
    if (streams->output != streams->input)
        options_set(streams->output);
    if (streams->errors < 0)
        open_log(worker, &original->logging);
    /* A busy worker outlives the master. */
    if (prctl(PR_SET_PDEATHSIG, 0) < 0)
        worker_fail(worker, STEP_WIRE, errno, EXIT_SYSTEM);
    prctl(PR_SET_NAME, original->name);
    if (keeper) {
        leave_keeper(keeper, front); /* which has the board, and is not to be traced so long */
        carry_leave(&keeper->carriage, &ends);
    }
    worker_give_back(worker);
    if (original->dumpable == 1)
        prctl(PR_SET_DUMPABLE, 1);
    greet(original, streams->output); /* now there is somebody who reads it */
    close_streams(streams);
    dispositions_give_back();
}
