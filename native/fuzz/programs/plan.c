/*
 * The CGI program of the fuzzers: does what the variable PLAN says, in hexadecimal, step by step.
 *
 * Static and small: it is started for each request.
 */
#include "fuzz/fcgi-stream/plan.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static char buffer[1 << PLAN_LONGEST_SHIFT];

static unsigned digit(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10) & 15;
}

static void write_whole(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t size = write(fd, bytes, length);

        if (size <= 0)
            return;
        bytes += size;
        length -= (size_t)size;
    }
}

static void write_pattern(int fd, size_t length)
{
    for (size_t i = 0; i < length; i++)
        buffer[i] = (char)plan_pattern(i);
    write_whole(fd, buffer, length);
}

static void read_some(size_t length)
{
    while (length > 0) {
        ssize_t size = read(STDIN_FILENO, buffer, length);

        if (size <= 0)
            return;
        length -= (size_t)size;
    }
}

static void copy(void)
{
    ssize_t size;

    while ((size = read(STDIN_FILENO, buffer, sizeof buffer)) > 0)
        write_whole(STDOUT_FILENO, buffer, (size_t)size);
}

/* Some of them leave the group, as daemons do; none outlives its time. */
static void leave_behind(unsigned argument)
{
    struct pollfd ends[] = {{.fd = STDOUT_FILENO}, {.fd = STDERR_FILENO}};

    if (fork() != 0)
        return;
    if (argument & 1)
        setsid();
    if (argument & 2)
        close(STDOUT_FILENO);
    if (argument & 4)
        close(STDERR_FILENO);
    poll(ends, 2, PLAN_BEHIND_MS);
    _exit(0);
}

static void take_step(unsigned byte)
{
    const struct rlimit none = {0, 0};
    unsigned argument = byte & 15;

    switch (plan_step(byte)) {
    case PLAN_READ:
        read_some(plan_length(argument));
        break;
    case PLAN_WRITE:
        write_pattern(STDOUT_FILENO, plan_length(argument));
        break;
    case PLAN_COMPLAIN:
        write_pattern(STDERR_FILENO, plan_length(argument));
        break;
    case PLAN_COPY:
        copy();
        break;
    case PLAN_CLOSE:
        close((int)(argument % 3));
        break;
    case PLAN_LEAVE_BEHIND:
        leave_behind(argument);
        break;
    case PLAN_EXIT:
        _exit((int)argument);
    case PLAN_DIE:
        setrlimit(RLIMIT_CORE, &none);
        raise(plan_signals[argument % PLAN_SIGNALS]);
        break;
    case PLAN_HOLD_OUT:
        signal(SIGTERM, SIG_IGN);
        break;
    case PLAN_DAWDLE:
        poll(NULL, 0, argument == PLAN_FOR_EVER ? PLAN_FOR_EVER_MS : PLAN_DAWDLE_MS);
        break;
    default:
        break;
    }
}

int main(void)
{
    const char *plan = getenv("PLAN");

    for (; plan && plan[0] && plan[1]; plan += 2)
        take_step(digit(plan[0]) << 4 | digit(plan[1]));
    return 0;
}
