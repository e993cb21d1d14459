/*
 * The request is over when the program's output has ended and the program too. Its stderr is read
 * as far as it goes then: what it has left running in the background often keeps that open.
 */
#include "exchange.h"

#include "exits.h"
#include "front/clock.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    STATUS_REFUSED = 1, /* our own, where no program has ended */
    END_SIZE = 8,
    LINE_SIZE = 1024,
    LEAVE_MS = 100, /* who closes all most often ends; that is not seen at the same moment */
    GROUP_STEP_MS = 20, /* the end of the last process of a group is not reported */
};

static void put(struct exchange *exchange, enum record_type type, const void *content,
                size_t length)
{
    connection_put(exchange->connection, type, exchange->request_id, content, length);
}

void exchange_reject(struct connection *connection, uint16_t request_id, unsigned app_status,
                     enum protocol_status protocol_status)
{
    const unsigned char body[END_SIZE] = {
        (unsigned char)(app_status >> 24), (unsigned char)(app_status >> 16),
        (unsigned char)(app_status >> 8), (unsigned char)app_status,
        (unsigned char)protocol_status};

    connection_put(connection, RECORD_END_REQUEST, request_id, body, sizeof body);
}

/* The ends of a program that the master takes for a crash, too. */
static bool is_crash(const struct backend *backend)
{
    const int number = WIFSIGNALED(backend->wait_status) ? WTERMSIG(backend->wait_status) : 0;

    return number == SIGSEGV || number == SIGBUS || number == SIGILL || number == SIGABRT;
}

/* Tell whether there is room for whatever may come next. */
static bool has_room(const struct exchange *exchange)
{
    size_t room;

    connection_room(exchange->connection, &room);
    return room >= (exchange->opening.is_over ? 1 : OPENING_MOST);
}

/* Send what is to be sent by now of the beginning of the answer. */
static void send_opening(struct exchange *exchange)
{
    struct opening_piece piece;

    if (!has_room(exchange))
        return;
    while (opening_next(&exchange->opening, clock_ms(), &piece))
        put(exchange, piece.type, piece.bytes, piece.length);
}

/* Let the answer go out if it need not wait any more. */
static void let_go(struct exchange *exchange)
{
    const struct backend *backend = &exchange->backend;
    const struct early_facts facts = {
        .is_input_over = backend->body_fd < 0,
        .is_answer_whole =
            exchange->phase != EXCHANGE_RUNNING || backend->answer_fd < 0 || backend->has_exited,
        .is_full = !has_room(exchange),
    };

    if (exchange->early.is_held && early_may_go(&exchange->early, facts, clock_ms()))
        connection_release(exchange->connection);
}

static void end(struct exchange *exchange, unsigned app_status)
{
    exchange->has_crashed = exchange->service->has_copies && is_crash(&exchange->backend);
    opening_end(&exchange->opening);
    send_opening(exchange);
    put(exchange, RECORD_STDOUT, NULL, 0);
    put(exchange, RECORD_STDERR, NULL, 0);
    exchange_reject(exchange->connection, exchange->request_id, app_status, REQUEST_COMPLETE);
    exchange->phase = EXCHANGE_OVER;
    let_go(exchange);
}

static void put_line(struct exchange *exchange, const char *line)
{
    if (exchange->service->stderr_mode == STDERR_TO_CLIENT)
        put(exchange, RECORD_STDERR, line, strlen(line));
    else if (exchange->service->stderr_mode == STDERR_INHERITED)
        (void)!write(STDERR_FILENO, line, strlen(line));
}

static void put_refusal(struct exchange *exchange, const struct refusal *refused, const char *about)
{
    char answer[REFUSAL_ANSWER_SIZE];

    put(exchange, RECORD_STDOUT, answer, refusal_write(refused, about, answer));
}

/* Returns whether it is worth a line. */
static bool put_note(struct exchange *exchange, const struct note *note)
{
    char text[NOTE_LINE_SIZE], line[LINE_SIZE];

    if (!note_write(note, text))
        return false;
    snprintf(line, sizeof line, "%s: %s\n", exchange->service->name, text);
    put_line(exchange, line);
    return true;
}

void exchange_refuse(struct exchange *exchange, uint16_t request_id,
                     const struct refusal *refused, const struct request *request)
{
    const struct note note = note_of_refusal(refused, request);

    exchange->request_id = request_id;
    exchange->has_answered = false;
    opening_begin(&exchange->opening);
    put_refusal(exchange, refused, note.name);
    put_note(exchange, &note);
    end(exchange, STATUS_REFUSED);
}

static void refuse_start(struct exchange *exchange, const struct refusal *refused)
{
    char line[LINE_SIZE];

    snprintf(line, sizeof line, "%s: %.700s: %s: %s\n", exchange->service->name,
             exchange->backend.name, refused->reason, strerror(exchange->backend.error));
    put_refusal(exchange, refused, "");
    put_line(exchange, line);
    end(exchange, EXIT_NOT_EXECUTABLE);
}

/* Behind the answer: what comes before its head may keep nginx from finding it. */
static void tell_of_left_out(struct exchange *exchange)
{
    if (!exchange->has_told_of_left_out)
        exchange->has_told_of_left_out = put_note(exchange, &exchange->left_out);
}

static uint64_t after(int limit_ms)
{
    return limit_ms ? clock_ms() + (uint64_t)limit_ms : 0;
}

void exchange_start(struct exchange *exchange, uint16_t request_id, struct request *request,
                    bool has_body)
{
    const struct refusal *refused;

    exchange->request_id = request_id;
    exchange->phase = EXCHANGE_RUNNING;
    exchange->has_answered = false;
    opening_begin(&exchange->opening);
    exchange->deadline_ms = after(exchange->service->request_limit_ms);
    exchange->answer_deadline_ms = after(exchange->service->answer_limit_ms);
    exchange->body_taken = 0;
    request_trace(request, exchange->trace);
    exchange->leave_ms = 0;
    exchange->left_out = note_of_left_out(request);
    exchange->backend = (struct backend){.body_fd = -1, .answer_fd = -1, .stderr_fd = -1};
    exchange->early.is_held = false;
    refused = request_check_body(request, exchange->service->body_limit);
    if (!refused && has_body) {
        early_begin(&exchange->early);
        connection_hold(exchange->connection, request_id);
    }
    if (!refused)
        refused = exchange->service->start(exchange->service, request, has_body, &exchange->backend);
    if (refused && exchange->backend.error)
        refuse_start(exchange, refused);
    else if (refused)
        exchange_refuse(exchange, request_id, refused, request);
}

/* A limit is over. What has been answered ends there. */
static void give_up(struct exchange *exchange, const struct refusal *reason)
{
    const char *separator = *exchange->trace ? "; trace " : "";
    char line[LINE_SIZE];

    snprintf(line, sizeof line, "%s: %.700s: %s%s%s\n", exchange->service->name,
             exchange->backend.name, reason->reason, separator, exchange->trace);
    if (!exchange->has_answered)
        put_refusal(exchange, reason, "");
    put_line(exchange, line);
    exchange->has_answered = true;
    exchange_terminate(exchange);
}

size_t exchange_write(struct exchange *exchange, const void *piece, size_t length)
{
    static const struct refusal too_large = {
        "413 Content Too Large", "the body of the request is larger than the limit"};
    const uint64_t limit = exchange->service->body_limit;
    size_t taken;

    if (exchange->phase != EXCHANGE_RUNNING)
        return length;
    taken = backend_write(&exchange->backend, piece, length);
    if (exchange->early.is_held) {
        early_note_input(&exchange->early, taken > 0, clock_ms());
        let_go(exchange);
    }
    exchange->body_taken += taken;
    if (!limit || exchange->body_taken <= limit)
        return taken;
    give_up(exchange, &too_large);
    return length;
}

void exchange_end_body(struct exchange *exchange)
{
    if (exchange->phase == EXCHANGE_RUNNING)
        backend_end_body(&exchange->backend);
    let_go(exchange);
}

void exchange_desert(struct exchange *exchange)
{
    if (exchange->service->may_finish)
        exchange_end_body(exchange);
    else
        exchange_terminate(exchange);
}

void exchange_terminate(struct exchange *exchange)
{
    if (exchange->phase != EXCHANGE_RUNNING)
        return;
    backend_signal(&exchange->backend, SIGTERM);
    exchange->deadline_ms = clock_ms() + (uint64_t)exchange->service->kill_ms;
    exchange->is_killed = false;
    exchange->phase = EXCHANGE_ENDING;
}

void exchange_watch(const struct exchange *exchange, bool has_piece,
                    struct pollfd polls[EXCHANGE_POLLS])
{
    const struct backend *backend = &exchange->backend;

    for (int i = 0; i < EXCHANGE_POLLS; i++)
        polls[i] = (struct pollfd){.fd = -1};
    if (exchange->phase != EXCHANGE_RUNNING)
        return;
    if (has_piece || backend->head_left)
        polls[0] = (struct pollfd){.fd = backend->body_fd, .events = POLLOUT};
    else if (exchange->early.is_held && !backend->is_socket)
        polls[0] = (struct pollfd){.fd = backend->body_fd};
    if (has_room(exchange)) {
        polls[1] = (struct pollfd){.fd = backend->answer_fd, .events = POLLIN};
        polls[2] = (struct pollfd){.fd = backend->stderr_fd, .events = POLLIN};
    }
}

/* Tell whether only what is left behind on its stderr can still come. */
static bool is_at_last_words(const struct exchange *exchange)
{
    const struct backend *backend = &exchange->backend;

    return exchange->phase == EXCHANGE_RUNNING && backend->answer_fd < 0 &&
           (backend->has_exited || !backend->group);
}

/* Is the first byte of the answer what has to come next? */
static bool is_for_answer(const struct exchange *exchange)
{
    return exchange->phase == EXCHANGE_RUNNING && !exchange->has_answered &&
           exchange->answer_deadline_ms &&
           (!exchange->deadline_ms || exchange->answer_deadline_ms < exchange->deadline_ms);
}

/* Tell whether the program has nothing to do with the request any more, but has not ended. */
static bool has_closed_all(const struct exchange *exchange)
{
    const struct backend *backend = &exchange->backend;

    return exchange->phase == EXCHANGE_RUNNING && backend->group && !backend->has_exited &&
           backend->body_fd < 0 && backend->answer_fd < 0 && backend->stderr_fd < 0;
}

static int left_ms(const struct exchange *exchange)
{
    const uint64_t deadline_ms =
        is_for_answer(exchange) ? exchange->answer_deadline_ms : exchange->deadline_ms;

    return deadline_ms ? clock_left_ms(deadline_ms, clock_ms()) : -1;
}

/* Return for how many milliseconds what waits to be sent may wait, -1 for ever. */
static int patience_of_answer(const struct exchange *exchange)
{
    const uint64_t now_ms = clock_ms();

    if (exchange->leave_ms && has_room(exchange))
        return clock_left_ms(exchange->leave_ms, now_ms);
    return clock_sooner(has_room(exchange) ? opening_patience(&exchange->opening, now_ms) : -1,
                        early_patience(&exchange->early, now_ms));
}

int exchange_patience(const struct exchange *exchange)
{
    if (exchange->phase == EXCHANGE_OVER)
        return -1;
    if (exchange->phase == EXCHANGE_RUNNING && is_at_last_words(exchange) && has_room(exchange))
        return 0;
    if (exchange->phase == EXCHANGE_RUNNING)
        return clock_sooner(left_ms(exchange), patience_of_answer(exchange));
    if (!exchange->backend.group)
        return 0;
    if (exchange->backend.has_exited)
        return GROUP_STEP_MS;
    return exchange->is_killed ? -1 : left_ms(exchange);
}

/* Return where to read a stream to, and how much. */
static unsigned char *room_for(struct exchange *exchange, enum record_type type, size_t *room)
{
    if (!exchange->opening.is_over)
        return opening_room(&exchange->opening, type, room);
    return connection_room(exchange->connection, room);
}

static void take(struct exchange *exchange, enum record_type type, size_t length)
{
    exchange->has_answered = exchange->has_answered || type == RECORD_STDOUT;
    if (exchange->opening.is_over) {
        connection_seal(exchange->connection, type, exchange->request_id, length);
        return;
    }
    opening_take(&exchange->opening, type, length, clock_ms());
    send_opening(exchange);
}

/* Read what is there of a stream into a record. Up to its end, where that has been seen: so a short
 * answer often goes out together with the end of its request. */
static void relay(struct exchange *exchange, int *fd, enum record_type type, short revents)
{
    unsigned char *content;
    ssize_t length;
    size_t room;

    do {
        if (!has_room(exchange))
            return;
        content = room_for(exchange, type, &room);
        length = backend_read(&exchange->backend, fd, content, room);
        if (length == 0 && type == RECORD_STDOUT && exchange->has_answered)
            opening_end(&exchange->opening);
        if (length <= 0)
            return;
        take(exchange, type, (size_t)length);
    } while (revents & POLLHUP);
}

static void report(struct exchange *exchange)
{
    const struct backend *backend = &exchange->backend;
    const char *lack = exchange->has_answered ? "" : ", without an answer";
    const char *who = exchange->service->name;
    char line[LINE_SIZE];

    if (WIFSIGNALED(backend->wait_status))
        snprintf(line, sizeof line, "%s: %.700s was ended by signal %d%s\n", who,
                 backend->name, WTERMSIG(backend->wait_status), lack);
    else
        snprintf(line, sizeof line, "%s: %.700s has ended with status %d%s\n", who,
                 backend->name, WEXITSTATUS(backend->wait_status), lack);
    put_line(exchange, line);
}

static void report_pool(struct exchange *exchange)
{
    char line[LINE_SIZE];

    snprintf(line, sizeof line, "%s: the pool has closed without an answer\n",
             exchange->service->name);
    put_line(exchange, line);
}

static const struct refusal without_answer = {
    "502 Bad Gateway", "the program has ended without an answer"};

/* The answer is there, and the program works on: that is its own affair. */
static void leave_alone(struct exchange *exchange)
{
    if (!exchange->has_answered)
        put_refusal(exchange, &without_answer, "");
    exchange->has_left_some = true;
    exchange->backend.group = 0;
    end(exchange, 0);
}

static void finish(struct exchange *exchange)
{
    struct backend *backend = &exchange->backend;

    backend_close(backend);
    if (!exchange->has_answered)
        put_refusal(exchange, &without_answer, "");
    opening_end(&exchange->opening);
    send_opening(exchange);
    if (!backend->group && !exchange->has_answered)
        report_pool(exchange);
    else if (backend->group && (!exchange->has_answered || WIFSIGNALED(backend->wait_status)))
        report(exchange);
    tell_of_left_out(exchange);
    end(exchange, backend_status(backend));
}

static void advance_ending(struct exchange *exchange)
{
    /* What SIGKILL has been sent to ends, but its parent may be slow to wait for it. */
    if (backend_is_over(&exchange->backend) ||
        (exchange->is_killed && exchange->backend.has_exited)) {
        end(exchange, backend_status(&exchange->backend));
        return;
    }
    if (!exchange->is_killed && left_ms(exchange) == 0) {
        backend_signal(&exchange->backend, SIGKILL);
        exchange->is_killed = true;
    }
}

void exchange_advance(struct exchange *exchange, const struct pollfd polls[EXCHANGE_POLLS])
{
    static const struct refusal late = {
        "504 Gateway Timeout", "the program has not ended within the time limit"};
    static const struct refusal silent = {
        "504 Gateway Timeout", "the program has not begun to answer within the time limit"};
    struct backend *backend = &exchange->backend;
    bool was_at_last_words = is_at_last_words(exchange);

    if (exchange->phase == EXCHANGE_OVER) {
        backend_reap(backend);
        return;
    }
    if (polls[0].revents && backend->head_left)
        backend_write_head(backend);
    if (polls[0].revents & POLLERR && !polls[0].events)
        backend_end_body(backend); /* nobody reads it */
    /* What was complained of before the head is there as well if that is. */
    if (polls[2].revents)
        relay(exchange, &backend->stderr_fd, RECORD_STDERR, polls[2].revents);
    if (polls[1].revents)
        relay(exchange, &backend->answer_fd, RECORD_STDOUT, polls[1].revents);
    if (exchange->phase == EXCHANGE_RUNNING)
        send_opening(exchange);
    backend_reap(backend);
    let_go(exchange);
    if (exchange->phase == EXCHANGE_RUNNING && !was_at_last_words && left_ms(exchange) == 0)
        give_up(exchange, is_for_answer(exchange) ? &silent : &late);
    if (!has_closed_all(exchange))
        exchange->leave_ms = 0;
    else if (!exchange->leave_ms)
        exchange->leave_ms = clock_ms() + LEAVE_MS;
    if (exchange->phase == EXCHANGE_ENDING)
        advance_ending(exchange);
    else if (exchange->leave_ms && has_room(exchange) && clock_ms() >= exchange->leave_ms)
        leave_alone(exchange);
    else if (has_room(exchange) && is_at_last_words(exchange) &&
             (backend->stderr_fd < 0 ||
              (was_at_last_words && polls[2].fd >= 0 && !polls[2].revents)))
        finish(exchange);
}
