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
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTION, INPUT, OUTPUT };
enum {
    PIECE_SIZE = 16 * 1024,
    LOOK_MS = 1000,
};

static char *piece(void)
{
    static char bytes[PIECE_SIZE];

    return bytes;
}

static bool has_answer(const struct carriage *carriage)
{
    return carriage->is_carried && (carriage->output.source >= 0 || carriage->waiting.source >= 0);
}

static void end_input(struct carriage *carriage)
{
    flow_close(&carriage->input.sink);
    carriage->input.source = -1;
}

static void end_output(struct carriage *carriage)
{
    flow_close(&carriage->output.source);
    flow_close(&carriage->waiting.source);
    flow_close(&carriage->room);
    carriage->early.is_held = false;
}

void carry_drop(struct carriage *carriage)
{
    end_input(carriage);
    end_output(carriage);
    flow_close(&carriage->connection);
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
        flow_close(&carriage->connection);
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
        flow_close(&carriage->connection);
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
        flow_close(&flow->source);
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
        flow_close(&flow->source);
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
        flow_close(&carriage->connection);
}

/* What the program has written and nobody has read yet is an answer, too. */
static bool is_answering(const struct carriage *carriage)
{
    int size = 0;

    return carriage->has_answered ||
           (carriage->output.source >= 0 && ioctl(carriage->output.source, FIONREAD, &size) == 0 &&
            size > 0);
}

bool carry_answer(struct carriage *carriage, const char *answer, size_t size, uint64_t now_ms)
{
    if (!carriage->is_carried || carriage->is_gone || carriage->is_parting ||
        carriage->connection < 0 || is_answering(carriage))
        return false;
    end_input(carriage);
    end_output(carriage);
    carriage->has_answered = true;
    carriage->farewell = farewell_refused;
    /* There is room: nothing has been sent before. */
    if (send(carriage->connection, answer, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        flow_close(&carriage->connection);
    else
        part(carriage, now_ms);
    return true;
}

bool carry_is_unanswered(const struct carriage *carriage)
{
    return carriage->is_carried && carriage->connection >= 0 && !carriage->is_gone &&
           !carriage->is_parting && !carriage->has_answered && !has_answer(carriage);
}

void carry_part(struct carriage *carriage, uint64_t now_ms)
{
    if (carriage->connection >= 0 && !carriage->is_parting)
        part(carriage, now_ms);
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
        flow_close(&carriage->room); /* what waits ends there */
        carriage->output.sink = carriage->connection;
        carriage->output.is_sink_full = false;
    }
    if (carriage->look_at_ms && now_ms >= carriage->look_at_ms)
        look_for_client(carriage, now_ms);
    if (carriage->connection < 0)
        return;
    if (!carriage->is_parting && !carry_is_unanswered(carriage) &&
        (carriage->is_carried ? !has_answer(carriage) : has_ended))
        part(carriage, now_ms);
    if (carriage->is_parting && (now_ms >= carriage->part_at_ms || now_ms >= carriage->silent_at_ms))
        flow_close(&carriage->connection);
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
        wait_ms = clock_sooner(wait_ms, clock_left_ms(carriage->look_at_ms, now_ms));
    if (carriage->is_parting && carriage->connection >= 0) {
        wait_ms = clock_sooner(wait_ms, clock_left_ms(carriage->part_at_ms, now_ms));
        wait_ms = clock_sooner(wait_ms, clock_left_ms(carriage->silent_at_ms, now_ms));
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
