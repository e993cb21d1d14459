/*
 * A copy listens at an abstract address (unix(7)) that is made of the service's token and of what tells
 * one program from another: its path, as the request leads to it, its file, and when that was last
 * changed. So there is no table, and no moment in which a program that was replaced is still run:
 * who looks at the new file finds nobody at its address.
 *
 * A copy that takes a connection says so before it does anything with it. Where none is free to do that
 * the caller takes the connection back, and runs the program itself. So no request ever waits behind
 * one that takes long, and to close a template's address loses nothing. Which of the two has it is
 * decided by the kernel: what is sent to a socket that has been shut down for reading fails, and what
 * has been sent before is there.
 *
 * Everybody on the machine may call an abstract address, or take one that is free. The kernel says who
 * has called listen(), which for ours is the master, and the copy is told whose process calls. One of
 * the same user gains nothing by it: it could run the program itself. What it can send is one byte and
 * one descriptor, which has to be a connection.
 */
#include "favourites.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* socketd/loop/rendezvous.py makes the same addresses. */
static const char prefix[] = "socketd-";
enum { HASH_DIGITS = 16 };
enum { PREFIX_SIZE = sizeof prefix - 1, DIGITS_OF_TOKEN = FAVOURITES_TOKEN_SIZE - 1 };

enum {
    FREE_MS = 20,   /* a copy that waits is there in a fraction of that */
    GIVE_MS = 1000, /* who calls gives at once */
};
static const char given = 'g', taken = 't';

static uint64_t mix(uint64_t hash, const void *bytes, size_t size)
{
    const unsigned char *byte = bytes;

    /* FNV-1a. Who finds two programs with one sum gains nothing: a copy looks at the path. */
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ byte[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static uint64_t hash_of(const char *path, const struct stat *file)
{
    const uint64_t numbers[] = {(uint64_t)file->st_dev, (uint64_t)file->st_ino,
                                (uint64_t)file->st_ctim.tv_sec, (uint64_t)file->st_ctim.tv_nsec};
    uint64_t hash = mix(UINT64_C(0xcbf29ce484222325), path, strlen(path) + 1);

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        for (unsigned shift = 0; shift < 64; shift += 8) {
            const unsigned char byte = (unsigned char)(numbers[i] >> shift);

            hash = mix(hash, &byte, 1);
        }
    return hash;
}

/* Begin an address, and return its size. */
static socklen_t begin_address(const struct favourites *favourites, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->sun_path + 1, prefix, PREFIX_SIZE);
    memcpy(address->sun_path + 1 + PREFIX_SIZE, favourites->token, DIGITS_OF_TOKEN);
    return offsetof(struct sockaddr_un, sun_path) + 1 + PREFIX_SIZE + DIGITS_OF_TOKEN;
}

static socklen_t address_of(const struct favourites *favourites, const char *path,
                            const struct stat *file, struct sockaddr_un *address)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t hash = hash_of(path, file);
    const socklen_t size = begin_address(favourites, address);
    char *place = (char *)address + size;

    *place = '-';
    for (int i = HASH_DIGITS; i > 0; i--, hash >>= 4)
        place[i] = digits[hash & 15];
    return size + 1 + HASH_DIGITS;
}

/* The master wakes up to this, so it looks at some of what it is told only; see
 * socketd/master/favouring.py. */
static void tell_master(const struct favourites *favourites, const char *path)
{
    struct sockaddr_un address;
    const socklen_t size = begin_address(favourites, &address);
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return;
    (void)!sendto(fd, path, strlen(path), MSG_NOSIGNAL, (const struct sockaddr *)&address, size);
    close(fd);
}

static bool is_from(int channel, const struct favourites *favourites)
{
    struct ucred listener;
    socklen_t size = sizeof listener;

    return getsockopt(channel, SOL_SOCKET, SO_PEERCRED, &listener, &size) == 0 &&
           listener.pid == favourites->master;
}

static bool wait_input(int channel, int limit_ms)
{
    struct pollfd readable = {.fd = channel, .events = POLLIN};

    return poll(&readable, 1, limit_ms) == 1;
}

/* Wait until a copy has taken what was given, or take it back. */
static bool is_taken(int channel)
{
    char said;

    if (!wait_input(channel, FREE_MS))
        shutdown(channel, SHUT_RD);
    return recv(channel, &said, 1, MSG_DONTWAIT) == 1 && said == taken;
}

/* Room for one descriptor and no more: the kernel closes others. */
union control {
    struct cmsghdr head;
    char space[CMSG_SPACE(sizeof(int))];
};

static bool give(int channel, int connection)
{
    union control control = {.head = {.cmsg_level = SOL_SOCKET,
                                      .cmsg_type = SCM_RIGHTS,
                                      .cmsg_len = CMSG_LEN(sizeof connection)}};
    struct iovec byte = {.iov_base = (char *)&given, .iov_len = 1};
    const struct msghdr message = {.msg_iov = &byte,
                                   .msg_iovlen = 1,
                                   .msg_control = &control,
                                   .msg_controllen = CMSG_LEN(sizeof connection)};

    memcpy(CMSG_DATA(&control.head), &connection, sizeof connection);
    return sendmsg(channel, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

bool favourites_hand_on(const struct favourites *favourites, const char *path, int connection)
{
    struct sockaddr_un address;
    struct stat file;
    socklen_t size;
    bool is_handed_on;
    int channel;

    if (!favourites->token || stat(path, &file) < 0)
        return false;
    channel = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (channel < 0)
        return false;
    size = address_of(favourites, path, &file, &address);
    if (connect(channel, (const struct sockaddr *)&address, size) < 0) {
        /* Any other error is that of a queue which is full. */
        if (errno == ECONNREFUSED)
            tell_master(favourites, path);
        close(channel);
        return false;
    }
    is_handed_on =
        is_from(channel, favourites) && give(channel, connection) && is_taken(channel);
    close(channel);
    return is_handed_on;
}

static bool is_of_our_user(int channel)
{
    struct ucred caller;
    socklen_t size = sizeof caller;

    return getsockopt(channel, SOL_SOCKET, SO_PEERCRED, &caller, &size) == 0 &&
           caller.uid == geteuid();
}

static bool is_option(int fd, int option, int wanted)
{
    int value = -1;
    socklen_t size = sizeof value;

    return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 && value == wanted;
}

static bool is_connection(int fd)
{
    return is_option(fd, SO_TYPE, SOCK_STREAM) && is_option(fd, SO_ACCEPTCONN, 0);
}

static int take(int channel)
{
    union control control;
    char said = 0;
    struct iovec byte = {.iov_base = &said, .iov_len = 1};
    struct msghdr message = {.msg_iov = &byte,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = CMSG_LEN(sizeof(int))};
    int connection;

    if (!is_of_our_user(channel) || !wait_input(channel, GIVE_MS) ||
        recvmsg(channel, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != 1 ||
        message.msg_controllen < sizeof control.head || control.head.cmsg_level != SOL_SOCKET ||
        control.head.cmsg_type != SCM_RIGHTS || control.head.cmsg_len != CMSG_LEN(sizeof connection))
        return -1;
    memcpy(&connection, CMSG_DATA(&control.head), sizeof connection);
    if (said == given && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) &&
        is_connection(connection) &&
        send(channel, &taken, 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1)
        return connection;
    close(connection);
    return -1;
}

int favourites_receive(int channel)
{
    const int connection = take(channel);

    close(channel);
    return connection;
}
