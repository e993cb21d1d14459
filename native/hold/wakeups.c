/*
 * A fork shares what is open. A program that wakes itself, from a signal handler or another thread, by
 * an event descriptor or a pipe would wake any of its copies instead. So each copy has such a one of
 * its own, under the same numbers and in the same state: nobody else knows of them, since the
 * program has started nobody who still runs.
 *
 * Whatever else leads to another process does so for all copies at once, and an answer would go to
 * any of them. There is one exception, because many programs have it: a socket that sends
 * datagrams to a path and has no address of its own, as syslog(3) makes it. Nothing can come back.
 */
#include "wakeups.h"

#include "descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef MQUEUE_MAGIC /* mq_overview(7) */
#define MQUEUE_MAGIC 0x19800202
#endif

enum { MOST_WAKEUPS = 16, MOST_ENDS = 64, MOST_COUNTED = 4096 };

/* Those of a pipe come as two, at the places READER and WRITER. */
enum end { READER, WRITER, ENDS };

struct wakeup {
    bool is_event;
    ino_t inode;         /* of a pipe */
    bool has_end[ENDS];  /* an event descriptor is its own reader */
    int flags[ENDS];     /* of the open file */
    bool is_semaphore;   /* the rest of an event descriptor */
    unsigned count;
    int size; /* the rest of a pipe */
    bool is_empty;
};

static struct {
    int fd;
    int wakeup;
    enum end end;
    bool is_closed_on_exec;
} ends[MOST_ENDS];

static struct wakeup wakeups[MOST_WAKEUPS];
static int wakeup_count, end_count;
static struct stat standard_error;

static const char too_many[] = "it has too many event descriptors or pipes of its own";
static const char not_known[] = "the state of an event descriptor of its own is not known";
static const char end_of_pipe[] = "it has one end of a pipe open, which copies would share";
static const char full_pipe[] =
    "it has something in a pipe of its own, which only one copy could have";
static const char own_connection[] =
    "it has a connection of its own open (a socket), which copies would share";
static const char queue[] =
    "it has a message queue open, of which each message would go to one copy only";

static bool is_same(const struct stat *one, const struct stat *other)
{
    return one->st_ino == other->st_ino && one->st_dev == other->st_dev;
}

void wakeups_begin(void)
{
    if (fstat(STDERR_FILENO, &standard_error) < 0)
        standard_error = (struct stat){0};
}

static bool is_event(int fd)
{
    static const char event[] = "anon_inode:[eventfd]";
    char path[DESCRIPTOR_PATH_SIZE], target[sizeof event];

    descriptor_path(path, fd);
    return readlink(path, target, sizeof target) == sizeof event - 1 &&
           memcmp(target, event, sizeof event - 1) == 0;
}

/* Return the place of the wakeup, -1 if there are too many. */
static int add_wakeup(struct wakeup wakeup)
{
    if (wakeup_count == MOST_WAKEUPS)
        return -1;
    wakeups[wakeup_count] = wakeup;
    return wakeup_count++;
}

static const char *add_end(int fd, int wakeup, enum end end)
{
    if (wakeup < 0 || end_count == MOST_ENDS)
        return too_many;
    ends[end_count].fd = fd;
    ends[end_count].wakeup = wakeup;
    ends[end_count].end = end;
    ends[end_count++].is_closed_on_exec = fcntl(fd, F_GETFD) & FD_CLOEXEC;
    return NULL;
}

/* A semaphore gives one at a time, any other all that was counted. The descriptor does not block. */
static bool take_all(int fd, struct wakeup *wakeup)
{
    uint64_t value;
    unsigned reads = 0;

    for (; read(fd, &value, sizeof value) == sizeof value; reads++) {
        if (value > UINT32_MAX || reads == MOST_COUNTED)
            return false;
        wakeup->count += (unsigned)value;
    }
    if (errno != EAGAIN)
        return false;
    value = 2;
    if (write(fd, &value, sizeof value) < 0 || read(fd, &value, sizeof value) < 0)
        return false;
    wakeup->is_semaphore = value == 1;
    return !wakeup->is_semaphore || read(fd, &value, sizeof value) > 0;
}

/* Of those that are known nothing is to be read now, until one is written to by another number. */
static bool is_twin(int known, int fd)
{
    struct pollfd poll_entry = {.fd = known, .events = POLLIN};
    uint64_t value = 1;
    bool is_readable;

    if (write(fd, &value, sizeof value) < 0)
        return false;
    is_readable = poll(&poll_entry, 1, 0) == 1;
    return read(fd, &value, sizeof value) > 0 && is_readable;
}

static const char *find_event(int fd)
{
    struct wakeup found = {.is_event = true, .has_end[READER] = true};

    found.flags[READER] = fcntl(fd, F_GETFL);
    if (fcntl(fd, F_SETFL, found.flags[READER] | O_NONBLOCK) < 0 || !take_all(fd, &found))
        return not_known;
    for (int i = 0; i < end_count; i++)
        if (wakeups[ends[i].wakeup].is_event && is_twin(ends[i].fd, fd))
            return add_end(fd, ends[i].wakeup, READER);
    return add_end(fd, add_wakeup(found), READER);
}

static const char *find_pipe(int fd, ino_t inode)
{
    const int flags = fcntl(fd, F_GETFL), access = flags & O_ACCMODE;
    const enum end end = access == O_WRONLY ? WRITER : READER;
    int number = 0, waiting;

    if (access == O_RDWR)
        return end_of_pipe; /* a named one */
    while (number < wakeup_count && (wakeups[number].is_event || wakeups[number].inode != inode))
        number++;
    if (number == wakeup_count)
        number = add_wakeup((struct wakeup){.inode = inode, .size = fcntl(fd, F_GETPIPE_SZ)});
    if (number < 0)
        return too_many;
    wakeups[number].has_end[end] = true;
    wakeups[number].flags[end] = flags;
    wakeups[number].is_empty = ioctl(fd, FIONREAD, &waiting) == 0 && waiting == 0;
    return add_end(fd, number, end);
}

/* questions.c stands before the functions of the library. */
static bool is_way_out_only(int fd)
{
    static const socklen_t unnamed = offsetof(struct sockaddr_un, sun_path);
    struct sockaddr_un own, peer;
    socklen_t own_size = sizeof own, peer_size = sizeof peer, size = sizeof(int);
    int type;

    return syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
           type == SOCK_DGRAM && syscall(SYS_getsockname, fd, &own, &own_size) == 0 &&
           own.sun_family == AF_UNIX && own_size == unnamed &&
           syscall(SYS_getpeername, fd, &peer, &peer_size) == 0 && peer_size > unnamed;
}

static const char *look(int fd, const struct stat *input, uint64_t log_inode)
{
    struct stat file;
    struct statfs system;

    if (fstat(fd, &file) < 0 || is_same(&file, input) || is_same(&file, &standard_error))
        return NULL;
    if (S_ISFIFO(file.st_mode))
        return find_pipe(fd, file.st_ino);
    if (S_ISSOCK(file.st_mode))
        return file.st_ino == log_inode || is_way_out_only(fd) ? NULL : own_connection;
    if (S_ISREG(file.st_mode))
        return fstatfs(fd, &system) == 0 && system.f_type == MQUEUE_MAGIC ? queue : NULL;
    return (file.st_mode & S_IFMT) == 0 && is_event(fd) ? find_event(fd) : NULL;
}

/* The template is not to run on, but what refuses to hold it may let it. */
static const char *give_back(void)
{
    for (int i = 0; i < end_count; i++) {
        const struct wakeup *wakeup = &wakeups[ends[i].wakeup];
        const uint64_t count = wakeup->count;
        bool is_first = true;

        if (!wakeup->is_event)
            continue;
        for (int before = 0; before < i; before++)
            is_first &= ends[before].wakeup != ends[i].wakeup;
        if (is_first && ((count > 0 && write(ends[i].fd, &count, sizeof count) < 0) ||
                         fcntl(ends[i].fd, F_SETFL, wakeup->flags[READER]) < 0))
            return not_known;
    }
    return NULL;
}

const char *wakeups_find(uint64_t log_inode)
{
    const char *obstacle = NULL;
    struct stat input;

    if (fstat(STDIN_FILENO, &input) < 0)
        return NULL; /* which is an obstacle of its own */
    for (int fd = 0; fd <= DESCRIPTOR_HIGHEST && !obstacle; fd++)
        obstacle = look(fd, &input, log_inode);
    for (int i = 0; i < wakeup_count && !obstacle; i++) {
        if (wakeups[i].is_event)
            continue;
        if (!wakeups[i].has_end[READER] || !wakeups[i].has_end[WRITER])
            obstacle = end_of_pipe;
        else if (!wakeups[i].is_empty)
            obstacle = full_pipe;
    }
    return obstacle ? obstacle : give_back();
}

/* Put what is new in the place of all that was one in the template. */
static bool put_in_place(int number, enum end end, int fd)
{
    bool is_done = true;

    for (int i = 0; i < end_count && is_done; i++)
        if (ends[i].wakeup == number && ends[i].end == end)
            is_done = dup3(fd, ends[i].fd, ends[i].is_closed_on_exec ? O_CLOEXEC : 0) >= 0;
    close(fd);
    return is_done;
}

static bool renew_event(int number)
{
    const struct wakeup *wakeup = &wakeups[number];
    const int flags = (wakeup->is_semaphore ? EFD_SEMAPHORE : 0) |
                      (wakeup->flags[READER] & O_NONBLOCK ? EFD_NONBLOCK : 0);
    const int fd = eventfd(wakeup->count, flags);

    return fd >= 0 && put_in_place(number, READER, fd);
}

static bool renew_pipe(int number)
{
    const struct wakeup *wakeup = &wakeups[number];
    int made[ENDS];

    if (pipe(made) < 0)
        return false;
    if (fcntl(made[READER], F_GETPIPE_SZ) != wakeup->size)
        fcntl(made[READER], F_SETPIPE_SZ, wakeup->size); /* if the system has no more, it is smaller */
    for (enum end end = READER; end < ENDS; end++)
        if (fcntl(made[end], F_SETFL, wakeup->flags[end]) < 0 ||
            !put_in_place(number, end, made[end]))
            return false;
    return true;
}

bool wakeups_renew(void)
{
    for (int i = 0; i < wakeup_count; i++)
        if (!(wakeups[i].is_event ? renew_event(i) : renew_pipe(i)))
            return false;
    return true;
}
