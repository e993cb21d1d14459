/*
 * Nothing here grows. Input that nobody can take stays in its buffer, and no more is received;
 * output that the web server does not take stays in its own, and no more is read from the program.
 *
 * Signals are blocked but in ppoll(): what they are about is looked at right after it.
 */
#include "responder.h"

#include "connection.h"
#include "exchange.h"
#include "params.h"
#include "signals.h"
#include "values.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>

enum {
    ROLE_RESPONDER = 1,
    FLAG_KEEP_CONNECTION = 1,
    BEGIN_SIZE = 8,
    UNKNOWN_TYPE_SIZE = 8,
    MANAGEMENT = 0, /* the request id of records about the connection */
};

enum phase {
    PHASE_IDLE,   /* between requests */
    PHASE_PARAMS, /* a request has begun */
    PHASE_READY,  /* its variables are complete; whether it has a body is about to be seen */
    PHASE_CARRIED_OUT,
};

struct responder {
    const struct service *service;
    struct connection connection;
    struct record_decoder decoder;
    struct record record; /* that is being decoded */
    bool is_wanted;       /* its content; else it is dropped */
    size_t begin_size;
    unsigned char begin[BEGIN_SIZE];
    struct values values;
    enum phase phase;
    uint16_t request_id;
    bool is_kept; /* the connection, after the request */
    bool has_body_ended;
    bool has_piece;  /* of the body, that could not be taken yet */
    bool is_closing; /* no further request is read */
    int failure;     /* an error number: nothing can be waited for */
    struct params params;
    struct exchange exchange;
};

static void end_request(struct responder *responder)
{
    responder->phase = PHASE_IDLE;
    responder->is_closing = responder->is_closing || !responder->is_kept;
    responder->has_piece = false;
    /* What is left of a record of this request must not be taken for the next one's. */
    if (responder->record.request_id == responder->request_id)
        responder->is_wanted = false;
}

/* Nothing more can be understood, or nobody is there any more. */
static void give_up(struct responder *responder)
{
    responder->is_closing = true;
    if (responder->phase == PHASE_CARRIED_OUT)
        exchange_terminate(&responder->exchange);
    else
        end_request(responder);
}

static void start(struct responder *responder)
{
    responder->phase = PHASE_CARRIED_OUT;
    exchange_start(&responder->exchange, responder->request_id, &responder->params.request,
                   !responder->has_body_ended);
}

static void begin_request(struct responder *responder)
{
    unsigned role = (unsigned)responder->begin[0] << 8 | responder->begin[1];
    bool is_kept = responder->begin[2] & FLAG_KEEP_CONNECTION;
    uint16_t request_id = responder->record.request_id;

    if (responder->phase != PHASE_IDLE) {
        exchange_reject(&responder->connection, request_id, 0, CANNOT_MULTIPLEX);
        return;
    }
    responder->is_kept = is_kept;
    responder->has_body_ended = false;
    if (role != ROLE_RESPONDER) {
        exchange_reject(&responder->connection, request_id, 0, UNKNOWN_ROLE);
        end_request(responder);
        return;
    }
    responder->request_id = request_id;
    responder->phase = PHASE_PARAMS;
    params_begin(&responder->params, responder->service->variables);
}

static void abort_request(struct responder *responder)
{
    if (responder->phase == PHASE_CARRIED_OUT) {
        exchange_terminate(&responder->exchange);
        return;
    }
    exchange_reject(&responder->connection, responder->request_id, 0, REQUEST_COMPLETE);
    end_request(responder);
}

static void end_params(struct responder *responder)
{
    const struct refusal *refused = params_end(&responder->params);

    if (!refused) {
        responder->phase = PHASE_READY;
        return;
    }
    responder->phase = PHASE_CARRIED_OUT;
    exchange_refuse(&responder->exchange, responder->request_id, refused);
}

static void end_body(struct responder *responder)
{
    if (responder->has_body_ended)
        return;
    responder->has_body_ended = true;
    if (responder->phase == PHASE_READY)
        start(responder);
    else if (responder->phase == PHASE_CARRIED_OUT)
        exchange_end_body(&responder->exchange);
}

static void answer_management(struct responder *responder)
{
    unsigned char answer[VALUES_ANSWER_SIZE];
    const unsigned char unknown[UNKNOWN_TYPE_SIZE] = {responder->record.type};

    if (responder->record.type == RECORD_GET_VALUES)
        connection_put(&responder->connection, RECORD_GET_VALUES_RESULT, MANAGEMENT, answer,
                       values_write(&responder->values, answer));
    else
        connection_put(&responder->connection, RECORD_UNKNOWN_TYPE, MANAGEMENT, unknown,
                       sizeof unknown);
}

/* Returns false if the record cannot be: then nor can what comes after it. */
static bool begin_record(struct responder *responder)
{
    const struct record *record = &responder->record;
    bool is_current =
        responder->phase != PHASE_IDLE && record->request_id == responder->request_id;

    responder->is_wanted = false;
    if (record->request_id == MANAGEMENT) {
        responder->is_wanted = record->type == RECORD_GET_VALUES;
        memset(&responder->values, 0, sizeof responder->values);
        return true;
    }
    switch (record->type) {
    case RECORD_BEGIN_REQUEST:
        responder->begin_size = 0;
        responder->is_wanted = true;
        return record->length == BEGIN_SIZE && !is_current;
    case RECORD_ABORT_REQUEST:
        responder->is_wanted = is_current;
        return true;
    case RECORD_PARAMS:
        responder->is_wanted = is_current && responder->phase == PHASE_PARAMS;
        return true;
    case RECORD_STDIN:
        responder->is_wanted = is_current;
        /* A body before its variables: there is nobody to take it, nor to refuse it to. */
        return !is_current || responder->phase != PHASE_PARAMS;
    default:
        return true;
    }
}

/* Returns how much of the content has been taken. */
static size_t take_content(struct responder *responder, const unsigned char *content,
                           size_t length)
{
    const struct bytes bytes = {content, content + length};

    if (!responder->is_wanted)
        return length;
    switch (responder->record.type) {
    case RECORD_GET_VALUES:
        values_feed(&responder->values, bytes);
        break;
    case RECORD_BEGIN_REQUEST:
        memcpy(responder->begin + responder->begin_size, content, length);
        responder->begin_size += length;
        break;
    case RECORD_PARAMS:
        params_feed(&responder->params, bytes);
        break;
    case RECORD_STDIN:
        if (responder->has_body_ended)
            break;
        if (responder->phase == PHASE_READY)
            start(responder);
        return exchange_write(&responder->exchange, content, length);
    default:
        break;
    }
    return length;
}

static void end_record(struct responder *responder)
{
    const struct record *record = &responder->record;

    if (record->request_id == MANAGEMENT) {
        answer_management(responder);
        return;
    }
    if (!responder->is_wanted)
        return;
    if (record->type == RECORD_BEGIN_REQUEST)
        begin_request(responder);
    else if (record->type == RECORD_ABORT_REQUEST)
        abort_request(responder);
    else if (record->type == RECORD_PARAMS && record->length == 0)
        end_params(responder);
    else if (record->type == RECORD_STDIN && record->length == 0)
        end_body(responder);
}

static bool has_come_to_its_end(const struct responder *responder)
{
    return responder->phase == PHASE_CARRIED_OUT && responder->exchange.phase == EXCHANGE_OVER;
}

/* Decode one event. Returns false if that has to wait: for bytes, for room, or for the backend. */
static bool decode(struct responder *responder)
{
    struct bytes *unread = &responder->connection.unread;
    size_t length, taken;

    if (has_come_to_its_end(responder))
        end_request(responder);
    if (responder->is_closing || !connection_has_reserve(&responder->connection))
        return false;
    switch (record_next(&responder->decoder, unread, &responder->record)) {
    case RECORD_WANTS_BYTES:
        return false;
    case RECORD_BEGUN:
        if (!begin_record(responder))
            give_up(responder);
        break;
    case RECORD_CONTENT:
        length = record_content(&responder->decoder, unread);
        taken = take_content(responder, unread->next, length);
        record_take(&responder->decoder, unread, taken);
        responder->has_piece = taken < length;
        return taken > 0;
    case RECORD_ENDED:
        end_record(responder);
        break;
    case RECORD_BROKEN:
        give_up(responder);
    }
    return true;
}

/* Do all that can be done without waiting. */
static void proceed(struct responder *responder)
{
    struct connection *connection = &responder->connection;
    bool is_moving = true;

    while (is_moving) {
        is_moving = false;
        while (decode(responder))
            is_moving = true;
        /* A body may follow, but the program is not to wait for it. */
        if (responder->phase == PHASE_READY)
            start(responder);
        is_moving = is_moving || has_come_to_its_end(responder);
        if (!is_moving && connection_is_unsent(connection))
            is_moving = connection_flush(connection);
    }
}

/* Between two requests, and no further one is wanted. What has come by now is still served. */
static bool is_leaving(const struct responder *responder)
{
    return signals_ask_to_finish() && responder->phase == PHASE_IDLE &&
           responder->decoder.place == RECORD_IN_HEAD && responder->decoder.head_size == 0 &&
           responder->connection.unread.next == responder->connection.unread.end;
}

static void wait_for_something(struct responder *responder, const sigset_t *mask)
{
    struct pollfd polls[2 + EXCHANGE_POLLS];
    bool was_leaving = is_leaving(responder);
    int patience_ms = was_leaving ? 0 : exchange_patience(&responder->exchange);
    int ready;
    const struct timespec patience = {.tv_sec = patience_ms / 1000,
                                      .tv_nsec = patience_ms % 1000 * 1000000L};

    connection_watch(&responder->connection, polls);
    exchange_watch(&responder->exchange, responder->has_piece, polls + 2);
    ready = ppoll(polls, 2 + EXCHANGE_POLLS, patience_ms < 0 ? NULL : &patience, mask);
    responder->is_closing = responder->is_closing || (was_leaving && ready == 0);
    if (ready < 0) {
        /* Not to wait would be to turn for ever: without it there is no serving. */
        if (errno != EINTR)
            responder->failure = errno;
        for (int i = 0; i < 2 + EXCHANGE_POLLS; i++)
            polls[i] = (struct pollfd){.fd = -1}; /* nothing is known of any */
    }
    connection_receive(&responder->connection, polls);
    exchange_advance(&responder->exchange, polls + 2);
}

/* Tell whether the web server is gone, or has gone before it had said all of a request. */
static bool is_deserted(const struct responder *responder)
{
    const struct connection *connection = &responder->connection;

    if (connection->is_gone || signals_stop())
        return true;
    return connection->has_ended &&
           (connection->is_end_departure || !responder->has_body_ended);
}

static bool is_over(const struct responder *responder)
{
    const struct connection *connection = &responder->connection;

    if (responder->phase != PHASE_IDLE)
        return false;
    if (connection->is_gone || signals_stop())
        return true;
    return (responder->is_closing || connection->has_ended) && !connection_is_unsent(connection);
}

int responder_run(const struct service *service)
{
    /* Not on the stack: most of its pages are never touched. */
    static struct responder responder;
    sigset_t while_waiting;

    signals_note(&while_waiting);
    /* What a program leaves behind becomes our child, and so its end is seen. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    responder.service = service;
    responder.exchange.service = service;
    responder.exchange.connection = &responder.connection;
    connection_begin(&responder.connection);
    for (;;) {
        proceed(&responder);
        if (is_over(&responder))
            break;
        wait_for_something(&responder, &while_waiting);
        if (responder.failure) {
            if (responder.phase == PHASE_CARRIED_OUT)
                exchange_terminate(&responder.exchange);
            errno = responder.failure;
            return -1;
        }
        if (responder.phase != PHASE_IDLE && is_deserted(&responder))
            give_up(&responder);
    }
    sigprocmask(SIG_SETMASK, &while_waiting, NULL);
    if (!signals_stop())
        connection_end(&responder.connection, responder.has_body_ended &&
                                                  responder.decoder.place == RECORD_IN_HEAD);
    return signals_stop();
}
