/*
 * A program may have been copied from before it is held: a process of its user can take what it has
 * open (pidfd_getfd(2)), and read on a copy of a socket what is meant for the program. So there is
 * nothing to copy. Only when nobody new can look into this process any more it makes a socket, at
 * an address that the kernel picks, and puts that into the one place that it alone can write and
 * all can read, its name as a process. The master connects. Each side asks the kernel who the
 * other is (SO_PEERCRED): the master is told who listens, we who has connected. So the master sends
 * to this process alone, and any other connection is closed.
 *
 * Everything here may be called in a signal handler.
 */
#include "handover.h"

#include "call.h"
#include "worker.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* socketd/workers/holding.py has it, too. What follows are the five digits of an autobound address, unix(7). */
#define INVITATION "socketd@"
/* And this, of an answer. */
#define HELD "held"
/* What the byte says that comes with the descriptors: which there are beside those that always are. */
enum { HAS_GROUPS = 1, HAS_REQUEST = 2 };
enum { NAME_DIGITS = 5, MOST_WAITING = 4096, MOST_ANSWER_BYTES = 512 };

static int answer_fd = -1;

/* There is no channel yet to report on. */
static _Noreturn void fail(void)
{
    _exit(EXIT_SYSTEM);
}

static void say(const char *text)
{
    ssize_t ignored = write(answer_fd, text, strlen(text));

    (void)ignored;
}

static int invite(void)
{
    static const size_t start = offsetof(struct sockaddr_un, sun_path) + 1;
    struct sockaddr_un own = {.sun_family = AF_UNIX};
    char name[] = INVITATION "00000";
    socklen_t size = sizeof own;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (const struct sockaddr *)&own, sizeof own.sun_family) < 0 ||
        getsockname(fd, (struct sockaddr *)&own, &size) < 0 || size != start + NAME_DIGITS ||
        listen(fd, MOST_WAITING) < 0)
        fail();
    memcpy(name + strlen(INVITATION), own.sun_path + 1, NAME_DIGITS);
    prctl(PR_SET_NAME, name);
    return fd;
}

static bool is_master(int channel)
{
    struct ucred peer;
    socklen_t size = sizeof peer;

    return getsockopt(channel, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           peer.pid == call.first.master;
}

static int accept_master(int listener)
{
    for (;;) {
        int channel = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

        if (channel >= 0 && is_master(channel))
            return channel;
        if (channel >= 0)
            close(channel);
        else if (errno != EINTR && errno != ECONNABORTED)
            fail();
    }
}

void handover_receive(int descriptors[HANDED])
{
    const int listener = invite(), channel = accept_master(listener);
    char byte;
    struct iovec bytes = {.iov_base = &byte, .iov_len = 1};
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(HANDED * sizeof(int))];
    } control;
    struct msghdr message = {
        .msg_iov = &bytes,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof control,
    };
    int taken[HANDED], number = HANDED_ALWAYS;
    size_t size;
    ssize_t count;

    close(listener);
    do
        count = recvmsg(channel, &message, MSG_CMSG_CLOEXEC);
    while (count < 0 && errno == EINTR);
    if (count != 1 || message.msg_flags & MSG_CTRUNC ||
        message.msg_controllen < sizeof control.head || control.head.cmsg_type != SCM_RIGHTS)
        fail();
    size = control.head.cmsg_len - CMSG_LEN(0);
    if (size > sizeof taken)
        fail();
    memcpy(taken, CMSG_DATA(&control.head), size);
    memcpy(descriptors, taken, HANDED_ALWAYS * sizeof *taken);
    descriptors[GROUPS] = byte & HAS_GROUPS ? taken[number++] : -1;
    descriptors[REQUEST] = byte & HAS_REQUEST ? taken[number++] : -1;
    if (size != (size_t)number * sizeof *taken)
        fail();
    close(channel);
    answer_fd = descriptors[ANSWER];
}

static void append_number(char *text, size_t number)
{
    char digits[sizeof " 18446744073709551615"];
    char *digit = digits + sizeof digits - 1;

    *digit = '\0';
    do
        *--digit = (char)('0' + number % 10);
    while (number /= 10);
    *--digit = ' ';
    strcat(text, digit);
}

void handover_confirm(const struct trial_outcome *outcome, const char *shared_canary)
{
    char answer[MOST_ANSWER_BYTES] = HELD;

    if (outcome->has_answered) {
        append_number(answer, (size_t)outcome->status);
        append_number(answer, outcome->answer_bytes);
    }
    /* At once, or the master would take the first part for all. */
    if (shared_canary)
        strncat(strcat(answer, ": "), shared_canary, sizeof answer - strlen(answer) - 1);
    say(answer);
    close(answer_fd);
}

void handover_close(void)
{
    close(answer_fd);
}

_Noreturn void handover_give_up(const char *reason)
{
    say(reason);
    _exit(EXIT_SYSTEM);
}
