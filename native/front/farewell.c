/*
 * Closing a socket that has received unread data resets the connection, and so does what
 * arrives afterwards; a reset throws away what the peer has not taken yet (RFC 2525, section 2.17),
 * which is the answer. A CGI program need not read its body, and one that is refused never does.
 */
#include "farewell.h"

#include "clock.h"

#include <poll.h>
#include <sys/socket.h>

enum { PIECE_SIZE = 16 * 1024 };

const struct farewell farewell_answered = {.limit_ms = 30000, .silence_ms = 1000};
const struct farewell farewell_refused = {.limit_ms = 2000, .silence_ms = 1000};

void farewell_say(int connection, const struct farewell *farewell, const sigset_t *while_waiting)
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
        const struct timespec wait = {.tv_sec = wait_ms / 1000,
                                      .tv_nsec = wait_ms % 1000 * 1000000L};

        if (ppoll(&readable, 1, &wait, while_waiting) <= 0 ||
            recv(connection, dropped, sizeof dropped, MSG_DONTWAIT) <= 0)
            return;
    }
}
