/*
 * Fuzzes what is carried between a connection and a program: with real sockets and pipes, and a clock
 * of its own.
 *
 * The input says how long the body is, and then who does what: the client, the program, time. Rules:
 * the program reads what the client has sent of the body and nothing else, the client reads what the
 * program has written, both in order; once all is said and done and somebody reads, all of it has
 * arrived and nothing is left to be carried; no descriptor is left.
 */
#include "front/carry.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *count, char ***words);
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum { WATCHED_FDS = 64, PIECE = 512, LARGE = 64, LAST_TURNS = 20000, MOST_BYTES = 1 << 20 };

/* Bytes that are known by where they are. */
struct bytes {
    int fd; /* of who writes, or of who reads; -1: closed */
    uint64_t at;
};

static struct {
    struct carriage carriage;
    struct bytes client_out, client_in, program_in, program_out;
    uint64_t length;
    uint64_t now_ms;
    bool has_ended; /* the program */
    bool has_left;  /* the client, at least in part: what has not arrived may be lost */
    bool is_late;   /* it has not read in time what it was told farewell with */
} all;

static void check(bool is_so)
{
    if (!is_so)
        abort();
}

int LLVMFuzzerInitialize(int *count, char ***words)
{
    (void)count;
    (void)words;
    signal(SIGPIPE, SIG_IGN);
    return 0;
}

static void close_end(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static unsigned char byte_at(uint64_t at, unsigned char salt)
{
    return (unsigned char)((at * 31 + (at >> 8)) ^ salt);
}

static void write_some(struct bytes *to, size_t length, unsigned char salt)
{
    unsigned char piece[PIECE];
    ssize_t size;

    for (size_t i = 0; i < length; i++)
        piece[i] = byte_at(to->at + i, salt);
    size = to->fd >= 0 && length ? write(to->fd, piece, length) : 0;
    to->at += size > 0 ? (uint64_t)size : 0;
}

/* Returns false at the end. */
static bool read_some(struct bytes *from, unsigned char salt)
{
    unsigned char piece[PIECE];
    const ssize_t size = from->fd >= 0 ? read(from->fd, piece, sizeof piece) : 0;

    for (ssize_t i = 0; i < size; i++)
        check(piece[i] == byte_at(from->at + (uint64_t)i, salt));
    from->at += size > 0 ? (uint64_t)size : 0;
    return size > 0 || (size < 0 && errno == EAGAIN);
}

static void turn(void)
{
    struct pollfd polls[CARRY_POLLS];
    const int wait_ms = carry_wait(&all.carriage, polls, all.now_ms);

    check(wait_ms >= -1);
    if (poll(polls, CARRY_POLLS, 0) >= 0)
        carry_advance(&all.carriage, polls, all.has_ended, all.now_ms);
    if (carry_is_unanswered(&all.carriage)) {
        check(all.program_out.at == 0 || all.has_left);
        carry_part(&all.carriage, all.now_ms);
    }
    check(all.program_in.at <= all.client_out.at && all.program_in.at <= all.length);
    check(all.client_in.at <= all.program_out.at);
}

static void send_body(size_t length)
{
    const uint64_t left = all.length - all.client_out.at;

    write_some(&all.client_out, length < left ? length : (size_t)left, 0);
}

static void leave(bool is_whole)
{
    all.has_left = true;
    if (!is_whole && all.client_in.fd >= 0) {
        shutdown(all.client_in.fd, SHUT_WR);
        close_end(&all.client_out.fd);
        return;
    }
    close_end(&all.client_out.fd);
    close_end(&all.client_in.fd);
}

static void end_program(void)
{
    close_end(&all.program_in.fd);
    close_end(&all.program_out.fd);
    all.has_ended = true;
}

static void step(uint8_t what)
{
    const size_t length = 1 + (what >> 4) * 31;

    switch (what & 15) {
    case 0: case 1:
        send_body(length);
        break;
    case 2:
        for (int i = 0; i < LARGE; i++)
            send_body(PIECE);
        break;
    case 3: case 4:
        if (all.program_out.at < MOST_BYTES)
            write_some(&all.program_out, length, 77);
        break;
    case 5:
        for (int i = 0; i < LARGE && all.program_out.at < MOST_BYTES; i++)
            write_some(&all.program_out, PIECE, 77);
        break;
    case 6: case 7:
        read_some(&all.program_in, 0);
        break;
    case 8: case 9:
        read_some(&all.client_in, 77);
        break;
    case 10:
        close_end(what & 128 ? &all.program_in.fd : &all.program_out.fd);
        break;
    case 11:
        end_program();
        break;
    case 12:
        leave(what & 128);
        break;
    case 13:
        all.now_ms += length * 100;
        all.is_late = all.is_late || all.carriage.is_parting;
        break;
    default:
        break;
    }
    turn();
}

/* All say what they have to say, and read to the end. */
static void finish(void)
{
    for (int i = 0; i < LAST_TURNS && !carry_is_over(&all.carriage); i++) {
        if (!all.has_left)
            send_body(PIECE);
        if (!read_some(&all.program_in, 0) && all.client_out.at == all.length)
            end_program();
        if (all.has_left)
            end_program();
        if (!read_some(&all.client_in, 77) && !all.has_left)
            leave(true);
        all.now_ms += i < LAST_TURNS / 2 ? 0 : 100;
        turn();
    }
    check(carry_is_over(&all.carriage));
}

static bool begin(uint64_t length, bool may_finish)
{
    struct carry_ends ends;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return false;
    all.length = length;
    all.now_ms = 1000;
    all.has_ended = all.has_left = all.is_late = false;
    check(carry_begin(&all.carriage, pair[0], pair[0], length, may_finish, &ends));
    all.carriage.watch = may_finish ? CARRY_TO_FINISH : CARRY_TO_END;
    all.carriage.farewell = (struct farewell){.limit_ms = 30000, .silence_ms = 1000};
    fcntl(pair[1], F_SETFL, O_NONBLOCK);
    all.client_out = (struct bytes){.fd = fcntl(pair[1], F_DUPFD_CLOEXEC, 0)};
    all.client_in = (struct bytes){.fd = pair[1]};
    all.program_in = (struct bytes){.fd = ends.input};
    all.program_out = (struct bytes){.fd = ends.output};
    if (!all.carriage.is_carried)
        all.program_out.fd = fcntl(pair[0], F_DUPFD_CLOEXEC, 0);
    if (ends.input == pair[0])
        all.program_in.fd = -1;
    fcntl(all.program_in.fd, F_SETFL, O_NONBLOCK);
    if (all.carriage.is_carried)
        fcntl(all.program_out.fd, F_SETFL, O_WRONLY | O_NONBLOCK);
    return all.carriage.is_carried;
}

static void note_open(bool is_open[WATCHED_FDS])
{
    for (int fd = 0; fd < WATCHED_FDS; fd++)
        is_open[fd] = fcntl(fd, F_GETFD) >= 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    bool were_open[WATCHED_FDS], are_open[WATCHED_FDS], has_left;

    if (size < 3)
        return 0;
    note_open(were_open);
    if (begin((uint64_t)input[0] << (input[1] & 15) % 12, input[1] & 128)) {
        for (size_t i = 2; i < size; i++)
            step(input[i]);
        has_left = all.has_left;
        finish();
        check(has_left || all.is_late || all.client_in.at == all.program_out.at);
    }
    carry_drop(&all.carriage);
    close_end(&all.client_out.fd);
    close_end(&all.client_in.fd);
    close_end(&all.program_in.fd);
    close_end(&all.program_out.fd);
    note_open(are_open);
    for (int fd = 0; fd < WATCHED_FDS; fd++)
        check(were_open[fd] == are_open[fd]);
    return 0;
}
