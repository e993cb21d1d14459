/*
 * Who carries sees whether the client is there: a UNIX socket hangs up, and so does a TCP connection
 * that was reset; one that has been closed in order says no more. What is known is not asked of poll()
 * again, because it would be told over and over.
 */
#include "carry.h"

#include "clock.h"
#include "departure.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CONNECTION, INPUT, OUTPUT };
enum {
    PIECE_SIZE = 16 * 1024,
    MOST_READY = 64 * 1024, /* a pipe holds so much */
    READY_MS = 1,           /* between the pieces of a body that is on its way */
    LOOK_MS = 1000,
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static bool is_socket(int fd)
{
    int type;
    socklen_t size = sizeof type;

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
}

static bool is_connection(int input, int output)
{
    struct stat one, other;

    return is_socket(input) && fstat(input, &one) == 0 && fstat(output, &other) == 0 &&
           one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

static char *piece(void)
{
    static char bytes[PIECE_SIZE];

    return bytes;
}

void carry_leave_alone(struct carriage *carriage, int connection)
{
    const struct flow none = {.source = -1, .sink = -1};

    *carriage = (struct carriage){
        .connection = connection, .input = none, .output = none, .waiting = none, .room = -1};
}

/* Put a small body into the pipe, as far as it is there or about to be. */
static void take_ready(struct carriage *carriage)
{
    struct pollfd readable = {.fd = carriage->connection, .events = POLLIN};

    if (carriage->body_left > MOST_READY ||
        fcntl(carriage->input.sink, F_GETPIPE_SZ) < (int)carriage->body_left)
        return;
    while (carriage->body_left && poll(&readable, 1, READY_MS) > 0) {
        const size_t most =
            carriage->body_left < PIECE_SIZE ? (size_t)carriage->body_left : PIECE_SIZE;
        ssize_t size = recv(carriage->connection, piece(), most, MSG_DONTWAIT);

        if (size <= 0 || write(carriage->input.sink, piece(), (size_t)size) != size)
            return; /* the one that carries on finds the same */
        carriage->body_left -= (uint64_t)size;
    }
}

static bool begin_carrying(struct carriage *carriage, struct carry_ends *ends)
{
    int pipes[2];

    if (pipe2(pipes, O_CLOEXEC) < 0)
        return false;
    /* Nobody else has this end: the program does not have it. */
    fcntl(carriage->connection, F_SETFL, fcntl(carriage->connection, F_GETFL) | O_NONBLOCK);
    carriage->is_carried = true;
    carriage->output.source = pipes[0];
    carriage->output.sink = carriage->connection;
    ends->output = pipes[1];
    early_begin(&carriage->early);
    return true;
}

bool carry_begin(struct carriage *carriage, int input, int output, uint64_t length,
                 bool may_finish, struct carry_ends *ends)
{
    int pipes[2];

    carry_leave_alone(carriage, output);
    *ends = (struct carry_ends){input, output};
    if (length == 0)
        ends->input = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (ends->input < 0)
        return false;
    if ((length == 0 && !may_finish) || !is_connection(input, output))
        return true;
    if (length == 0)
        return begin_carrying(carriage, ends);
    if (pipe2(pipes, O_CLOEXEC) < 0)
        return false;
    ends->input = pipes[0];
    carriage->input = (struct flow){.source = input, .sink = pipes[1]};
    carriage->body_left = length;
    take_ready(carriage);
    if (!carriage->body_left) {
        carriage->input.source = -1;
        close_fd(&carriage->input.sink);
    }
    return carriage->body_left || may_finish ? begin_carrying(carriage, ends) : true;
}

int carry_list(const struct carriage *carriage, int fds[CARRY_FDS])
{
    const int all[CARRY_FDS] = {carriage->connection, carriage->input.sink, carriage->output.source,
                                carriage->waiting.source, carriage->room};
    int count = 0;

    for (int i = 0; i < CARRY_FDS; i++)
        if (all[i] >= 0)
            fds[count++] = all[i];
    return count;
}

static void lift(int *fd)
{
    int lifted;

    if (*fd < 0 || *fd > STDERR_FILENO)
        return;
    lifted = fcntl(*fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (lifted < 0)
        return;
    close(*fd);
    *fd = lifted;
}

void carry_lift(struct carriage *carriage)
{
    lift(&carriage->connection);
    if (carriage->input.source >= 0)
        carriage->input.source = carriage->connection;
    lift(&carriage->input.sink);
    lift(&carriage->output.source);
    if (carriage->is_carried)
        carriage->output.sink = carriage->connection;
}

void carry_leave(const struct carriage *carriage, const struct carry_ends *ends)
{
    int fds[CARRY_FDS];
    int count = carry_list(carriage, fds);

    for (int i = 0; i < count; i++)
        if (fds[i] != ends->input && fds[i] != ends->output)
            close(fds[i]);
}

static bool has_answer(const struct carriage *carriage)
{
    return carriage->is_carried && (carriage->output.source >= 0 || carriage->waiting.source >= 0);
}

static void end_input(struct carriage *carriage)
{
    close_fd(&carriage->input.sink);
    carriage->input.source = -1;
}

static void end_output(struct carriage *carriage)
{
    close_fd(&carriage->output.source);
    close_fd(&carriage->waiting.source);
    close_fd(&carriage->room);
    carriage->early.is_held = false;
}

void carry_drop(struct carriage *carriage)
{
    end_input(carriage);
    end_output(carriage);
    close_fd(&carriage->connection);
}

bool carry_is_over(const struct carriage *carriage)
{
    return carriage->connection < 0 && !has_answer(carriage);
}

/* The client has gone. A program that may finish has what has come of its body, and what it writes goes
 * nowhere. */
static void lose_client(struct carriage *carriage)
{
    carriage->is_gone = true;
    carriage->early.is_held = false;
    if (!carriage->is_carried || carriage->is_parting)
        close_fd(&carriage->connection);
}

static void look_for_client(struct carriage *carriage, uint64_t now_ms)
{
    carriage->look_at_ms = 0;
    if (carriage->is_gone || carriage->watch == CARRY_UNWATCHED)
        return;
    if (departure_is_final(carriage->connection))
        lose_client(carriage);
    else
        carriage->look_at_ms = now_ms + LOOK_MS;
}

/* No more comes from the client. */
static void end_listening(struct carriage *carriage, uint64_t now_ms)
{
    carriage->is_half_closed = true;
    end_input(carriage);
    look_for_client(carriage, now_ms);
}

static void carry_input(struct carriage *carriage, uint64_t now_ms)
{
    const size_t most =
        carriage->body_left < FLOW_MOST ? (size_t)carriage->body_left : (size_t)FLOW_MOST;
    ssize_t moved = flow_move(&carriage->input, most);

    if (carriage->early.is_held && (moved > 0 || carriage->input.is_sink_full))
        early_note_input(&carriage->early, moved > 0, now_ms);
    if (moved == FLOW_ENDED)
        end_listening(carriage, now_ms);
    else if (moved == FLOW_BROKEN && errno == EPIPE)
        end_input(carriage);
    else if (moved == FLOW_BROKEN) {
        end_input(carriage);
        lose_client(carriage);
    } else if (moved > 0) {
        if (carriage->body_left != CARRY_TO_THE_END)
            carriage->body_left -= (uint64_t)moved;
        if (!carriage->body_left)
            end_input(carriage);
    }
}

/* Read what nobody takes, so that the client can go on to read the answer. */
static void drop_input(struct carriage *carriage, uint64_t now_ms)
{
    ssize_t size = recv(carriage->connection, piece(), PIECE_SIZE, MSG_DONTWAIT);

    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    carriage->silent_at_ms = now_ms + (uint64_t)carriage->farewell.silence_ms;
    if (size > 0)
        return;
    if (carriage->is_parting)
        close_fd(&carriage->connection);
    else if (size == 0)
        end_listening(carriage, now_ms);
    else
        lose_client(carriage);
}

/* Make what an answer waits in. Without it the answer does not wait. */
static void begin_waiting(struct carriage *carriage)
{
    int pipes[2];

    if (pipe2(pipes, O_CLOEXEC) < 0) {
        carriage->early.is_held = false;
        return;
    }
    carriage->waiting = (struct flow){.source = pipes[0], .sink = carriage->connection};
    carriage->room = pipes[1];
}

/* The answer goes where it has to: to wait, behind what has waited, or out. */
static struct flow *next_flow(struct carriage *carriage)
{
    if (carriage->early.is_held) {
        if (carriage->room < 0)
            begin_waiting(carriage);
        if (carriage->room >= 0)
            carriage->output.sink = carriage->room;
        return &carriage->output;
    }
    return carriage->waiting.source >= 0 ? &carriage->waiting : &carriage->output;
}

static void drop_output(struct flow *flow)
{
    ssize_t size = read(flow->source, piece(), PIECE_SIZE);

    if (size == 0 || (size < 0 && errno != EINTR))
        close_fd(&flow->source);
}

static void carry_output(struct carriage *carriage)
{
    struct flow *flow = next_flow(carriage);
    ssize_t moved;

    if (carriage->is_gone) {
        drop_output(flow);
        return;
    }
    moved = flow_move(flow, FLOW_MOST);
    carriage->has_answered = carriage->has_answered || moved > 0;
    if (moved == FLOW_ENDED)
        close_fd(&flow->source);
    else if (moved == FLOW_BROKEN)
        lose_client(carriage);
}

static void part(struct carriage *carriage, uint64_t now_ms)
{
    carriage->is_parting = true;
    carriage->part_at_ms = now_ms + (uint64_t)carriage->farewell.limit_ms;
    carriage->silent_at_ms = now_ms + (uint64_t)carriage->farewell.silence_ms;
    if (carriage->is_gone || carriage->is_half_closed || !carriage->farewell.limit_ms ||
        shutdown(carriage->connection, SHUT_WR) < 0)
        close_fd(&carriage->connection);
}

/* Look whether something is over. */
static void settle(struct carriage *carriage, bool has_ended, uint64_t now_ms)
{
    struct early_facts facts = {.is_input_over = carriage->input.sink < 0,
                                .is_answer_whole = has_ended || carriage->output.source < 0,
                                .is_full = carriage->output.is_sink_full};

    if (carriage->early.is_held)
        early_may_go(&carriage->early, facts, now_ms);
    if (!carriage->early.is_held && carriage->room >= 0) {
        close_fd(&carriage->room); /* what waits ends there */
        carriage->output.sink = carriage->connection;
        carriage->output.is_sink_full = false;
    }
    if (carriage->look_at_ms && now_ms >= carriage->look_at_ms)
        look_for_client(carriage, now_ms);
    if (carriage->connection < 0)
        return;
    if (!carriage->is_parting && (carriage->is_carried ? !has_answer(carriage) : has_ended))
        part(carriage, now_ms);
    if (carriage->is_parting && (now_ms >= carriage->part_at_ms || now_ms >= carriage->silent_at_ms))
        close_fd(&carriage->connection);
}

static bool is_input_dropped(const struct carriage *carriage)
{
    return carriage->is_parting || (carriage->is_carried && !carriage->is_half_closed);
}

static short events_of_connection(const struct carriage *carriage, const struct flow *answer)
{
    short events = 0;

    if (carriage->is_gone)
        return carriage->input.sink >= 0 ? flow_at_source(&carriage->input) : 0;
    if (carriage->input.sink >= 0)
        events |= flow_at_source(&carriage->input);
    else if (is_input_dropped(carriage))
        events |= POLLIN;
    if (answer && answer->sink == carriage->connection)
        events |= flow_at_sink(answer);
    if (carriage->watch != CARRY_UNWATCHED && !carriage->is_half_closed && !carriage->is_parting)
        events |= POLLRDHUP;
    return events;
}

static struct pollfd watched(int fd, short events)
{
    return (struct pollfd){.fd = events ? fd : -1, .events = events};
}

static int sooner(int one_ms, uint64_t at_ms, uint64_t now_ms)
{
    const int left_ms = at_ms > now_ms ? (int)(at_ms - now_ms) : 0;

    return one_ms < 0 || left_ms < one_ms ? left_ms : one_ms;
}

/* The flow of the answer that is to go on, without making anything for it. */
static const struct flow *present_flow(const struct carriage *carriage)
{
    if (!carriage->is_carried)
        return NULL;
    return !carriage->early.is_held && carriage->waiting.source >= 0 ? &carriage->waiting
                                                                      : &carriage->output;
}

int carry_wait(const struct carriage *carriage, struct pollfd polls[CARRY_POLLS], uint64_t now_ms)
{
    const struct flow *answer = present_flow(carriage);
    short connection = events_of_connection(carriage, answer);
    int wait_ms = early_patience(&carriage->early, now_ms);

    /* One that is watched hangs up also where nothing else is waited for. */
    polls[CONNECTION] = watched(carriage->connection, connection);
    if (!carriage->is_gone && carriage->watch != CARRY_UNWATCHED && !carriage->is_parting)
        polls[CONNECTION].fd = carriage->connection;
    /* Who reads no more is told of without being asked for. */
    polls[INPUT] =
        (struct pollfd){.fd = carriage->input.sink, .events = flow_at_sink(&carriage->input)};
    polls[OUTPUT] = watched(answer ? answer->source : -1,
                            answer && carriage->is_gone ? POLLIN : answer ? flow_at_source(answer) : 0);
    if (carriage->look_at_ms)
        wait_ms = sooner(wait_ms, carriage->look_at_ms, now_ms);
    if (carriage->is_parting && carriage->connection >= 0) {
        wait_ms = sooner(wait_ms, carriage->part_at_ms, now_ms);
        wait_ms = sooner(wait_ms, carriage->silent_at_ms, now_ms);
    }
    return wait_ms;
}

void carry_advance(struct carriage *carriage, const struct pollfd polls[CARRY_POLLS], bool has_ended,
                   uint64_t now_ms)
{
    const short seen = polls[CONNECTION].revents, wanted = polls[CONNECTION].events;

    if (polls[INPUT].revents & POLLERR)
        end_input(carriage);
    else if (polls[INPUT].revents ||
        (carriage->input.sink >= 0 && !carriage->input.is_sink_full && seen & ~(POLLOUT | POLLRDHUP)))
        carry_input(carriage, now_ms);
    else if (carriage->input.sink < 0 && wanted & POLLIN && seen & ~(POLLOUT | POLLRDHUP))
        drop_input(carriage, now_ms);
    if (polls[OUTPUT].revents || (wanted & POLLOUT && seen & ~POLLIN))
        carry_output(carriage);
    if (seen & (POLLHUP | POLLERR) && !carriage->is_gone && carriage->watch != CARRY_UNWATCHED)
        lose_client(carriage);
    else if (seen & POLLRDHUP && !carriage->is_half_closed) {
        carriage->is_half_closed = true; /* what it has said before is still read */
        look_for_client(carriage, now_ms);
    }
    settle(carriage, has_ended, now_ms);
}
