/*
 * What has come is looked at before it is taken (MSG_PEEK), so that a byte behind the header stays
 * where it is. As long as no header is whole all that has come belongs to it, and is taken: what is
 * only looked at would be there again at once, and nobody could wait for more.
 */
#include "proxy_intake.h"

#include "direct.h"

#include <errno.h>
#include <poll.h>

enum { NS_PER_MS = 1000000, MS_PER_SECOND = 1000 };

/* Take bytes that are there. False if they are not, as of a connection that is reset meanwhile. */
static bool take(struct proxy_intake *intake, int connection, size_t size)
{
    while (size) {
        ssize_t got = recv(connection, intake->bytes + intake->count, size, MSG_DONTWAIT);

        if (got <= 0)
            return false;
        intake->count += (size_t)got;
        size -= (size_t)got;
    }
    return true;
}

enum proxy_verdict proxy_take(struct proxy_intake *intake, struct proxy_header *header,
                              int connection)
{
    for (;;) {
        const size_t room = sizeof intake->bytes - intake->count;
        enum proxy_verdict verdict;
        ssize_t there;
        size_t size;

        there = recv(connection, intake->bytes + intake->count, room, MSG_PEEK | MSG_DONTWAIT);
        if (there < 0 && errno == EINTR)
            continue;
        if (there < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return PROXY_MORE;
        if (there <= 0)
            return PROXY_WRONG;
        size = intake->count + (size_t)there;
        verdict = proxy_parse(header, intake->bytes, size);
        if (verdict == PROXY_WRONG)
            return PROXY_WRONG;
        if (verdict == PROXY_WHOLE)
            size = header->size;
        if (!take(intake, connection, size - intake->count))
            return PROXY_WRONG;
        if (verdict == PROXY_WHOLE)
            return PROXY_WHOLE;
    }
}

static int64_t now_ms(void)
{
    const struct timespec now = direct_now();

    return (int64_t)now.tv_sec * MS_PER_SECOND + now.tv_nsec / NS_PER_MS;
}

enum proxy_verdict proxy_take_within(struct proxy_intake *intake, struct proxy_header *header,
                                     int connection, uint32_t limit_ms)
{
    const int64_t end = now_ms() + limit_ms;

    for (;;) {
        struct pollfd readable = {.fd = connection, .events = POLLIN};
        enum proxy_verdict verdict = proxy_take(intake, header, connection);
        int64_t left;

        if (verdict != PROXY_MORE)
            return verdict;
        left = end - now_ms();
        if (left <= 0)
            return PROXY_MORE;
        if (poll(&readable, 1, left < INT32_MAX ? (int)left : INT32_MAX) < 0 && errno != EINTR)
            return PROXY_MORE;
    }
}
