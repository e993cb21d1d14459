/*
 * A socket is read and written with MSG_DONTWAIT: the flag of the open file would hold for
 * every process that shares it, a parent's terminal above all.
 *
 * Over TCP a peer that has closed and one that has only ended its sending look the same, and no
 * web server does the latter; so the end of the input means that it is gone. A UNIX socket and a
 * pair of pipes tell the two apart: there the output goes on until it hangs up itself.
 */
#include "connection.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_same_file(int a, int b)
{
    struct stat one, other;

    return fstat(a, &one) == 0 && fstat(b, &other) == 0 && one.st_dev == other.st_dev &&
           one.st_ino == other.st_ino;
}

static bool is_socket(int fd)
{
    int type;
    socklen_t size = sizeof type;

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
}

void connection_begin(struct connection *connection, int input_fd, int output_fd)
{
    const int on = 1;
    int domain = AF_UNSPEC;
    socklen_t size = sizeof domain;

    connection->input_fd = input_fd;
    connection->output_fd = output_fd;
    connection->unread.next = connection->unread.end = connection->input;
    connection->is_socket = is_socket(input_fd) && is_same_file(input_fd, output_fd);
    if (connection->is_socket)
        getsockopt(input_fd, SOL_SOCKET, SO_DOMAIN, &domain, &size);
    else
        fcntl(output_fd, F_SETFL, fcntl(output_fd, F_GETFL) | O_NONBLOCK);
    connection->is_end_departure = domain == AF_INET || domain == AF_INET6;
    /* The record that ends an answer would wait for the peer to acknowledge the one before, which
     * a peer that has nothing to say puts off for 40 ms. */
    if (connection->is_end_departure)
        setsockopt(output_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static size_t sendable_end(const struct connection *connection)
{
    return connection->is_held ? connection->held_from : connection->output_end;
}

void connection_hold(struct connection *connection, uint16_t request_id)
{
    connection->is_held = true;
    connection->held_id = request_id;
    connection->held_from = connection->output_end;
}

void connection_release(struct connection *connection)
{
    connection->is_held = false;
}

bool connection_is_unsent(const struct connection *connection)
{
    return connection->output_begin < sendable_end(connection);
}

void connection_watch(const struct connection *connection, struct pollfd polls[2])
{
    bool is_taken = connection->unread.next == connection->unread.end;
    bool is_read = !connection->is_gone ||
                   (connection->is_read_on && is_taken && !connection->has_ended);

    polls[0] = (struct pollfd){.fd = is_read ? connection->input_fd : -1};
    polls[1] = (struct pollfd){.fd = connection->is_gone ? -1 : connection->output_fd};
    if (!connection->has_ended && is_taken)
        polls[0].events = POLLIN;
    else if (connection->is_end_departure)
        polls[0].events = POLLRDHUP;
    else
        polls[0].fd = -1; /* or a hang-up that has been noticed would be told again and again */
    if (connection_is_unsent(connection))
        polls[1].events = POLLOUT;
}

void connection_receive(struct connection *connection, const struct pollfd polls[2])
{
    ssize_t size = -1;

    if (polls[1].revents & (POLLERR | POLLHUP | POLLNVAL) ||
        (connection->is_end_departure && polls[0].revents & (POLLRDHUP | POLLERR)))
        connection->is_gone = true;
    if ((connection->is_gone && !connection->is_read_on) || !(polls[0].events & POLLIN) || !polls[0].revents)
        return;
    if (connection->is_socket)
        size = recv(connection->input_fd, connection->input, sizeof connection->input, MSG_DONTWAIT);
    else
        size = read(connection->input_fd, connection->input, sizeof connection->input);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size < 0)
        connection->is_gone = true;
    if (size <= 0) {
        connection->has_ended = true;
        size = 0;
    }
    connection->unread.next = connection->input;
    connection->unread.end = connection->input + size;
}

bool connection_flush(struct connection *connection)
{
    while (connection_is_unsent(connection) && !connection->is_gone) {
        const unsigned char *begin = connection->output + connection->output_begin;
        size_t length = sendable_end(connection) - connection->output_begin;
        ssize_t size = connection->is_socket
                           ? send(connection->output_fd, begin, length, MSG_DONTWAIT | MSG_NOSIGNAL)
                           : write(connection->output_fd, begin, length);

        if (size >= 0)
            connection->output_begin += (size_t)size;
        else if (errno == EAGAIN)
            return false;
        else if (errno != EINTR)
            connection->is_gone = true;
    }
    if (connection->is_gone || connection->output_begin == connection->output_end)
        connection->output_begin = connection->output_end = connection->held_from = 0;
    return true;
}

bool connection_has_reserve(const struct connection *connection)
{
    return sizeof connection->output - connection->output_end >= CONNECTION_RESERVE;
}

unsigned char *connection_room(struct connection *connection, size_t *room)
{
    const size_t frame = RECORD_HEAD_SIZE + RECORD_ALIGNMENT - 1 + CONNECTION_RESERVE;
    size_t left = sizeof connection->output - connection->output_end;

    *room = left > frame ? left - frame : 0;
    if (*room > RECORD_CONTENT_SIZE)
        *room = RECORD_CONTENT_SIZE;
    return connection->output + connection->output_end + RECORD_HEAD_SIZE;
}

void connection_seal(struct connection *connection, enum record_type type, uint16_t request_id,
                     size_t length)
{
    connection->output_end +=
        record_wrap(connection->output + connection->output_end, type, request_id, length);
}

void connection_put(struct connection *connection, enum record_type type, uint16_t request_id,
                    const void *content, size_t length)
{
    const bool is_first = connection->is_held && request_id != connection->held_id;
    const size_t left = sizeof connection->output - connection->output_end;
    const size_t size = RECORD_HEAD_SIZE + length + -length % RECORD_ALIGNMENT;
    unsigned char *place =
        connection->output + (is_first ? connection->held_from : connection->output_end);

    if (RECORD_HEAD_SIZE + length + RECORD_ALIGNMENT > left)
        abort(); /* a bug: the reserve is there for all that is put between two looks at it */
    if (is_first) {
        memmove(place + size, place, connection->output_end - connection->held_from);
        connection->held_from += size;
    }
    if (length)
        memcpy(place + RECORD_HEAD_SIZE, content, length);
    record_wrap(place, type, request_id, length);
    connection->output_end += size;
}

void connection_end(struct connection *connection, bool is_all_read,
                    const struct farewell *farewell)
{
    if (!connection->is_socket || connection->is_gone || connection->has_ended)
        return;
    if (is_all_read && recv(connection->input_fd, connection->input, 1, MSG_DONTWAIT | MSG_PEEK) < 0)
        return;
    farewell_say(connection->output_fd, farewell, NULL);
}
