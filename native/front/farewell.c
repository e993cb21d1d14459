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

enum { SILENCE_MS = 1000, LONGEST_MS = 30000, PIECE_SIZE = 16 * 1024 };

void farewell_say(int connection)
{
    static char dropped[PIECE_SIZE];
    uint64_t deadline_ms = clock_ms() + LONGEST_MS;

    if (shutdown(connection, SHUT_WR) < 0)
        return;
    while (clock_ms() < deadline_ms) {
        struct pollfd readable = {.fd = connection, .events = POLLIN};

        if (poll(&readable, 1, SILENCE_MS) <= 0 ||
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
    farewell_say(connection);
    end_like(status);
}
