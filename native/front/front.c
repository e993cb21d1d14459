/*
 * A refusal is sent and then waited for. Closing a socket that has received what nobody has read
 * resets the connection, and a reset throws away what the peer has not yet taken, here the answer
 * (RFC 2525, section 2.17). So what still comes is read and dropped, for a moment.
 */
#include "front.h"

#include "root.h"
#include "scgi.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FAREWELL_MS = 200, FAREWELL_READS = 256, FAREWELL_SIZE = 16 * 1024 };

/* Static: in a worker only the pages that a request touches are ever there. */
static struct request request;
static struct root_choice choice;
static char text[REQUEST_TEXT_SIZE];

static void send_whole(int connection, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t count = send(connection, bytes, size, MSG_NOSIGNAL);

        if (count < 0 && errno == ENOTSOCK)
            count = write(connection, bytes, size);
        if (count < 0 && errno != EINTR)
            return; /* nobody is left to be told */
        if (count > 0) {
            bytes += count;
            size -= (size_t)count;
        }
    }
}

static void see_off(int connection)
{
    static char dropped[FAREWELL_SIZE];

    if (shutdown(connection, SHUT_WR) < 0)
        return;
    for (int i = 0; i < FAREWELL_READS; i++) {
        struct pollfd readable = {.fd = connection, .events = POLLIN};

        if (poll(&readable, 1, FAREWELL_MS) <= 0 || read(connection, dropped, sizeof dropped) <= 0)
            return;
    }
}

_Noreturn void front_refuse(int out, const struct refusal *refusal)
{
    char answer[REFUSAL_ANSWER_SIZE];

    if (!*refusal->status)
        _exit(0); /* nobody has asked for anything */
    send_whole(out, answer, refusal_write(refusal, answer));
    see_off(out);
    _exit(EXIT_REFUSED);
}

const struct refusal *front_why_not_run(int error)
{
    static const struct refusal missing = {
        "404 Not Found", "the program, or the interpreter that it names, is not there"};
    static const struct refusal forbidden = {
        "403 Forbidden", "the program may not be run"};
    static const struct refusal broken = {
        "500 Internal Server Error", "the program could not be run"};

    switch (error) {
    case ELOOP:
    case ENAMETOOLONG:
    case ENOENT:
    case ENOTDIR:
        return &missing;
    case EACCES:
    case EPERM:
        return &forbidden;
    default:
        return &broken;
    }
}

bool front_prepare(char *const service_entries[])
{
    return request_begin(&request, service_entries) == NULL;
}

struct front_request front_take(const struct front *front, int in, int out)
{
    struct front_request taken = {.entries = request.entries};
    const struct refusal *refused;
    sigset_t none, before;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, &before);
    refused = scgi_read(in, front->head_limit_ms, text, &request);
    if (!refused && front->root) {
        refused = root_choose(front->root, &request, &choice);
        taken.path = choice.path;
        taken.folder = choice.folder;
    }
    if (refused)
        front_refuse(out, refused);
    sigprocmask(SIG_SETMASK, &before, NULL);
    taken.own_entries = request.entries + request.own_count;
    return taken;
}
