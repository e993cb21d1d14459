/*
 * Closing a socket that has received what nobody has read resets the connection, and so does what
 * arrives afterwards; a reset throws away what the peer has not taken yet (RFC 2525, section 2.17),
 * which is the answer. A CGI program need not read its body, and one that is refused never does.
 *
 * Whoever is executed cannot be asked to do this at its end, so a parent waits for that. It is the
 * worker that the server knows, and has to end as the program does.
 */
#include "farewell.h"

#include "clock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PIECE_SIZE = 16 * 1024 };

const struct farewell farewell_answered = {.limit_ms = 30000, .silence_ms = 1000};
const struct farewell farewell_refused = {.limit_ms = 2000, .silence_ms = 1000};

void farewell_say(int connection, const struct farewell *farewell)
{
    static char dropped[PIECE_SIZE];
    const uint64_t deadline_ms = clock_ms() + (uint64_t)farewell->limit_ms;

    if (shutdown(connection, SHUT_WR) < 0)
        return;
    for (uint64_t now = clock_ms(); now < deadline_ms; now = clock_ms()) {
        struct pollfd readable = {.fd = connection, .events = POLLIN};
        const uint64_t left_ms = deadline_ms - now;
        const int wait_ms =
            left_ms < (uint64_t)farewell->silence_ms ? (int)left_ms : farewell->silence_ms;

        if (poll(&readable, 1, wait_ms) <= 0 ||
            recv(connection, dropped, sizeof dropped, MSG_DONTWAIT) <= 0)
            return;
    }
}

static _Noreturn void end_like(int status)
{
    /* The program has left its memory behind, if it may: one is enough. */
    const struct rlimit none = {0, 0};

    if (WIFEXITED(status))
        _exit(WEXITSTATUS(status));
    setrlimit(RLIMIT_CORE, &none);
    kill(getpid(), WTERMSIG(status));
    _exit(128 + WTERMSIG(status)); /* a signal that ends nobody here */
}

void farewell_leave_to_parent(int connection)
{
    pid_t program = fork();
    sigset_t none;
    int status;

    if (program <= 0)
        return;
    /* What is meant for the program is sent to the whole group. */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    while (waitpid(program, &status, 0) < 0)
        if (errno != EINTR)
            _exit(0);
    farewell_say(connection, &farewell_answered);
    end_like(status);
}
