/*
 * The request is over when the program's output has ended and the program too. Its stderr is read
 * as far as it goes then: what it has left running in the background often keeps that open.
 */
#include "exchange.h"

#include "exits.h"
#include "front/clock.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

enum {
    STATUS_REFUSED = 1, /* our own, where no program has ended */
    LEAVE_MS = 100, /* who closes all most often ends; that is not seen at the same moment */
    GROUP_STEP_MS = 20, /* the end of the last process of a group is not reported */
};

/* The ends of a program that the master takes for a crash, too. */
static bool is_crash(const struct backend *backend)
{
    const int number = WIFSIGNALED(backend->wait_status) ? WTERMSIG(backend->wait_status) : 0;

    return number == SIGSEGV || number == SIGBUS || number == SIGILL || number == SIGABRT;
}

static void let_go(struct exchange *exchange)
{
    const struct backend *backend = &exchange->backend;

    answer_let_go(&exchange->answer, backend->body_fd < 0,
                  exchange->phase != EXCHANGE_RUNNING || backend->answer_fd < 0 ||
                      backend->has_exited);
}

static void end(struct exchange *exchange, unsigned app_status)
{
    exchange->has_crashed = exchange->service->has_copies && is_crash(&exchange->backend);
    answer_end(&exchange->answer, app_status);
    exchange->phase = EXCHANGE_OVER;
    let_go(exchange);
}

static void refuse(struct exchange *exchange, const struct refusal *refused,
                   const struct request *request)
{
    const struct note note = note_of_refusal(refused, request);

    answer_put_refusal(&exchange->answer, refused, note.name);
    answer_put_note(&exchange->answer, &note);
    end(exchange, STATUS_REFUSED);
}

void exchange_refuse(struct exchange *exchange, uint16_t request_id,
                     const struct refusal *refused, const struct request *request)
{
    answer_begin(&exchange->answer, request_id, request);
    refuse(exchange, refused, request);
}

static void refuse_start(struct exchange *exchange, const struct refusal *refused)
{
    answer_put_refusal(&exchange->answer, refused, "");
    answer_say(&exchange->answer, "%.700s: %s: %s", exchange->backend.name, refused->reason,
               strerror(exchange->backend.error));
    end(exchange, EXIT_NOT_EXECUTABLE);
}

/* Behind the answer: what comes before its head may keep nginx from finding it. */
static void tell_of_left_out(struct exchange *exchange)
{
    if (!exchange->has_told_of_left_out)
        exchange->has_told_of_left_out = answer_put_note(&exchange->answer, &exchange->left_out);
}

static uint64_t after(int limit_ms)
{
    return limit_ms ? clock_ms() + (uint64_t)limit_ms : 0;
}

void exchange_start(struct exchange *exchange, uint16_t request_id, struct request *request,
                    bool has_body)
{
    const struct refusal *refused;

    answer_begin(&exchange->answer, request_id, request);
    exchange->phase = EXCHANGE_RUNNING;
    exchange->deadline_ms = after(exchange->service->request_limit_ms);
    exchange->answer_deadline_ms = after(exchange->service->answer_limit_ms);
    exchange->body_taken = 0;
    request_trace(request, exchange->trace);
    exchange->leave_ms = 0;
    exchange->left_out = note_of_request(request);
    exchange->backend = (struct backend){.body_fd = -1, .answer_fd = -1, .stderr_fd = -1};
    refused = request_check_body(request, exchange->service->body_limit);
    if (!refused && has_body)
        answer_hold(&exchange->answer);
    if (!refused)
        refused = exchange->service->start(exchange->service, request, has_body, &exchange->backend);
    if (refused && exchange->backend.error)
        refuse_start(exchange, refused);
    else if (refused)
        refuse(exchange, refused, request);
}

/* A limit is over. What has been answered ends there. */
static void give_up(struct exchange *exchange, const struct refusal *reason)
{
    const char *separator = *exchange->trace ? "; trace " : "";

    if (!exchange->answer.has_begun)
        answer_put_refusal(&exchange->answer, reason, "");
    answer_say(&exchange->answer, "%.700s: %s%s%s", exchange->backend.name, reason->reason, separator,
               exchange->trace);
    exchange->answer.has_begun = true;
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
    if (exchange->answer.early.is_held) {
        early_note_input(&exchange->answer.early, taken > 0, clock_ms());
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
    else if (exchange->answer.early.is_held && !backend->is_socket)
        polls[0] = (struct pollfd){.fd = backend->body_fd};
    if (answer_has_room(&exchange->answer)) {
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
    return exchange->phase == EXCHANGE_RUNNING && !exchange->answer.has_begun &&
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

/* Return for how many milliseconds there is nothing to do for the answer, -1 for ever. */
static int patience_of_answer(const struct exchange *exchange)
{
    const uint64_t now_ms = clock_ms();

    if (exchange->leave_ms && answer_has_room(&exchange->answer))
        return clock_left_ms(exchange->leave_ms, now_ms);
    return answer_patience(&exchange->answer, now_ms);
}

int exchange_patience(const struct exchange *exchange)
{
    if (exchange->phase == EXCHANGE_OVER)
        return -1;
    if (is_at_last_words(exchange) && answer_has_room(&exchange->answer))
        return 0;
    if (exchange->phase == EXCHANGE_RUNNING)
        return clock_sooner(left_ms(exchange), patience_of_answer(exchange));
    if (!exchange->backend.group)
        return 0;
    if (exchange->backend.has_exited)
        return GROUP_STEP_MS;
    return exchange->is_killed ? -1 : left_ms(exchange);
}

/* Read what is there of a stream into a record. Up to its end, where that has been seen: so a short
 * answer often goes out together with the end of its request. */
static void relay(struct exchange *exchange, int *fd, enum record_type type, short revents)
{
    unsigned char *content;
    ssize_t length;
    size_t room;

    do {
        if (!answer_has_room(&exchange->answer))
            return;
        content = answer_room(&exchange->answer, type, &room);
        length = backend_read(&exchange->backend, fd, content, room);
        if (length == 0 && type == RECORD_STDOUT && exchange->answer.has_begun)
            answer_end_head(&exchange->answer);
        if (length <= 0)
            return;
        answer_take(&exchange->answer, type, (size_t)length);
    } while (revents & POLLHUP);
}

static void report(struct exchange *exchange)
{
    const struct backend *backend = &exchange->backend;
    const char *lack = exchange->answer.has_begun ? "" : ", without an answer";

    if (WIFSIGNALED(backend->wait_status))
        answer_say(&exchange->answer, "%.700s was ended by signal %d%s", backend->name,
                   WTERMSIG(backend->wait_status), lack);
    else
        answer_say(&exchange->answer, "%.700s has ended with status %d%s", backend->name,
                   WEXITSTATUS(backend->wait_status), lack);
}

static const struct refusal without_answer = {
    "502 Bad Gateway", "the program has ended without an answer"};

/* The answer is there, and the program works on: that is its own affair. */
static void leave_alone(struct exchange *exchange)
{
    if (!exchange->answer.has_begun)
        answer_put_refusal(&exchange->answer, &without_answer, "");
    exchange->has_left_some = true;
    exchange->backend.group = 0;
    end(exchange, 0);
}

static void finish(struct exchange *exchange)
{
    struct backend *backend = &exchange->backend;
    struct answer *answer = &exchange->answer;

    backend_close(backend);
    if (!answer->has_begun)
        answer_put_refusal(answer, &without_answer, "");
    answer_end_head(answer);
    answer_send(answer);
    if (!backend->group && !answer->has_begun)
        answer_say(answer, "the pool has closed without an answer");
    else if (backend->group && (!answer->has_begun || WIFSIGNALED(backend->wait_status)))
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
    struct answer *answer = &exchange->answer;
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
        answer_send(answer);
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
    else if (exchange->leave_ms && answer_has_room(answer) && clock_ms() >= exchange->leave_ms)
        leave_alone(exchange);
    else if (answer_has_room(answer) && is_at_last_words(exchange) &&
             (backend->stderr_fd < 0 ||
              (was_at_last_words && polls[2].fd >= 0 && !polls[2].revents)))
        finish(exchange);
}
