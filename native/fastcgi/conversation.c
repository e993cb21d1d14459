/*
 * Nothing here grows. Input that cannot be passed on stays in its buffer, and no more is received;
 * output that the web server does not take stays in its own, and no more is read from the program.
 */
#include "conversation.h"

#include <string.h>

enum {
    ROLE_RESPONDER = 1,
    FLAG_KEEP_CONNECTION = 1,
    UNKNOWN_TYPE_SIZE = 8,
    MANAGEMENT = 0, /* the request id of records about the connection */
};

static void end_request(struct conversation *conversation)
{
    conversation->phase = PHASE_IDLE;
    conversation->is_closing = conversation->is_closing || !conversation->is_kept ||
                               conversation->exchange.has_crashed;
    conversation->has_piece = false;
    /* What is left of a record of this request must not be taken for the next one's. */
    if (conversation->record.request_id == conversation->request_id)
        conversation->is_wanted = false;
}

void conversation_give_up(struct conversation *conversation)
{
    conversation->is_closing = conversation->is_given_up = true;
    if (conversation->phase == PHASE_CARRIED_OUT)
        exchange_desert(&conversation->exchange);
    else
        end_request(conversation);
}

/* Call a request what its connection is called, with its number there, unless it has a name. */
static void name_request(struct conversation *conversation)
{
    struct request *request = &conversation->params.request;
    char digits[sizeof "4294967295"], *digit = digits + sizeof digits - 1;
    unsigned number = ++conversation->requests;

    if (!*conversation->name || request_find(request, "UNIQUE_ID"))
        return;
    *digit = '\0';
    do
        *--digit = (char)('0' + number % 10);
    while (number /= 10);
    strcpy(stpcpy(stpcpy(stpcpy(conversation->entry, "UNIQUE_ID="), conversation->name), "-"), digit);
    request_put(request, conversation->entry, strlen("UNIQUE_ID")); /* there is room, or it has none */
}

static void start(struct conversation *conversation)
{
    conversation->phase = PHASE_CARRIED_OUT;
    name_request(conversation);
    conversation->is_prepared = false;
    exchange_start(&conversation->exchange, conversation->request_id, &conversation->params.request,
                   !conversation->has_body_ended);
}

static void begin_request(struct conversation *conversation)
{
    unsigned role = (unsigned)conversation->begin[0] << 8 | conversation->begin[1];
    bool is_kept = conversation->begin[2] & FLAG_KEEP_CONNECTION;
    uint16_t request_id = conversation->record.request_id;

    conversation->is_used = true;
    if (conversation->phase != PHASE_IDLE) {
        answer_reject(&conversation->connection, request_id, CANNOT_MULTIPLEX);
        return;
    }
    conversation->is_kept = is_kept;
    conversation->has_body_ended = false;
    if (role != ROLE_RESPONDER) {
        answer_reject(&conversation->connection, request_id, UNKNOWN_ROLE);
        end_request(conversation);
        return;
    }
    conversation->request_id = request_id;
    conversation->phase = PHASE_PARAMS;
    params_begin(&conversation->params, conversation->service->variables,
                 conversation->service->allowed_names, conversation->service->head_limit);
}

static void abort_request(struct conversation *conversation)
{
    if (conversation->phase == PHASE_CARRIED_OUT) {
        exchange_desert(&conversation->exchange);
        return;
    }
    answer_reject(&conversation->connection, conversation->request_id, REQUEST_COMPLETE);
    end_request(conversation);
}

static void end_params(struct conversation *conversation)
{
    const struct refusal *refused = params_end(&conversation->params);

    patience_wait_for(&conversation->patience, PATIENCE_FOR_NOTHING);
    if (!refused) {
        conversation->phase = PHASE_READY;
        return;
    }
    conversation->phase = PHASE_CARRIED_OUT;
    exchange_refuse(&conversation->exchange, conversation->request_id, refused,
                    &conversation->params.request);
}

static void end_body(struct conversation *conversation)
{
    if (conversation->has_body_ended)
        return;
    conversation->has_body_ended = true;
    if (conversation->phase == PHASE_READY)
        start(conversation);
    else if (conversation->phase == PHASE_CARRIED_OUT)
        exchange_end_body(&conversation->exchange);
}

static void answer_management(struct conversation *conversation)
{
    unsigned char answer[VALUES_ANSWER_SIZE];
    const unsigned char unknown[UNKNOWN_TYPE_SIZE] = {conversation->record.type};

    if (conversation->record.type == RECORD_GET_VALUES)
        connection_put(&conversation->connection, RECORD_GET_VALUES_RESULT, MANAGEMENT, answer,
                       values_write(&conversation->values, answer));
    else
        connection_put(&conversation->connection, RECORD_UNKNOWN_TYPE, MANAGEMENT, unknown,
                       sizeof unknown);
}

/* Tell whether the web server has nothing more to say of the request in hand. */
static bool is_said(const struct conversation *conversation)
{
    return conversation->phase == PHASE_CARRIED_OUT &&
           (conversation->has_body_ended || conversation->exchange.phase == EXCHANGE_ENDING);
}

/* Returns false if the record cannot be: then nor can what comes after it. A request behind one that
 * has been said whole and is not answered yet waits with all that comes after it, unread but for what
 * has been received: HAProxy sends one, having had the head that it has asked for with HEAD. */
static bool begin_record(struct conversation *conversation)
{
    const struct record *record = &conversation->record;
    bool is_current =
        conversation->phase != PHASE_IDLE && record->request_id == conversation->request_id;

    conversation->is_wanted = conversation->is_put_off = false;
    if (record->request_id == MANAGEMENT) {
        conversation->is_wanted = record->type == RECORD_GET_VALUES;
        memset(&conversation->values, 0, sizeof conversation->values);
        return true;
    }
    switch (record->type) {
    case RECORD_BEGIN_REQUEST:
        conversation->begin_size = 0;
        conversation->is_wanted = true;
        conversation->is_put_off = is_said(conversation);
        return record->length == CONVERSATION_BEGIN_SIZE && (!is_current || conversation->is_put_off);
    case RECORD_ABORT_REQUEST:
        conversation->is_wanted = is_current;
        return true;
    case RECORD_PARAMS:
        conversation->is_wanted = is_current && conversation->phase == PHASE_PARAMS;
        return true;
    case RECORD_STDIN:
        conversation->is_wanted = is_current;
        /* A body before its variables: no request is there to take it, or to be refused. */
        return !is_current || conversation->phase != PHASE_PARAMS;
    default:
        return true;
    }
}

/* Returns how much of the content has been taken. */
static size_t take_content(struct conversation *conversation, const unsigned char *content,
                           size_t length)
{
    const struct bytes bytes = {content, content + length};

    if (!conversation->is_wanted)
        return length;
    switch (conversation->record.type) {
    case RECORD_GET_VALUES:
        values_feed(&conversation->values, bytes);
        break;
    case RECORD_BEGIN_REQUEST:
        memcpy(conversation->begin + conversation->begin_size, content, length);
        conversation->begin_size += length;
        break;
    case RECORD_PARAMS:
        params_feed(&conversation->params, bytes);
        break;
    case RECORD_STDIN:
        if (conversation->has_body_ended)
            break;
        if (conversation->phase == PHASE_READY)
            start(conversation);
        return exchange_write(&conversation->exchange, content, length);
    default:
        break;
    }
    return length;
}

static void end_record(struct conversation *conversation)
{
    const struct record *record = &conversation->record;

    if (record->request_id == MANAGEMENT) {
        answer_management(conversation);
        return;
    }
    if (!conversation->is_wanted)
        return;
    if (record->type == RECORD_BEGIN_REQUEST)
        begin_request(conversation);
    else if (record->type == RECORD_ABORT_REQUEST)
        abort_request(conversation);
    else if (record->type == RECORD_PARAMS && record->length == 0)
        end_params(conversation);
    else if (record->type == RECORD_STDIN && record->length == 0)
        end_body(conversation);
}

static bool has_come_to_its_end(const struct conversation *conversation)
{
    return conversation->phase == PHASE_CARRIED_OUT && conversation->exchange.phase == EXCHANGE_OVER;
}

/* Decode one event. Returns false if that has to wait: for bytes, for room, for the backend, or for one. */
static bool decode(struct conversation *conversation)
{
    struct bytes *unread = &conversation->connection.unread;
    size_t length, taken;

    if (has_come_to_its_end(conversation))
        end_request(conversation);
    if (conversation->is_closing || !connection_has_reserve(&conversation->connection))
        return false;
    if (conversation->phase == PHASE_IDLE && conversation->service->prepare &&
        !conversation->is_prepared)
        return false;
    if (conversation->is_put_off) {
        if (conversation->phase != PHASE_IDLE)
            return false;
        conversation->is_put_off = false;
        conversation->is_wanted = true;
    }
    switch (record_next(&conversation->decoder, unread, &conversation->record)) {
    case RECORD_WANTS_BYTES:
        return false;
    case RECORD_BEGUN:
        if (!begin_record(conversation))
            conversation_give_up(conversation);
        break;
    case RECORD_CONTENT:
        length = record_content(&conversation->decoder, unread);
        taken = take_content(conversation, unread->next, length);
        record_take(&conversation->decoder, unread, taken);
        conversation->has_piece = taken < length;
        return taken > 0;
    case RECORD_ENDED:
        end_record(conversation);
        break;
    case RECORD_BROKEN:
        conversation_give_up(conversation);
    }
    return true;
}

void conversation_proceed(struct conversation *conversation)
{
    struct connection *connection = &conversation->connection;
    bool is_moving = true;

    while (is_moving) {
        is_moving = false;
        while (decode(conversation))
            is_moving = true;
        /* A body may follow, but the program is not to wait for it. */
        if (conversation->phase == PHASE_READY)
            start(conversation);
        is_moving = is_moving || has_come_to_its_end(conversation);
        if (!is_moving && connection_is_unsent(connection))
            is_moving = connection_flush(connection);
    }
}

void conversation_end_late(struct conversation *conversation)
{
    static const struct refusal late = {
        "408 Request Timeout", "the head of the request has not come in time"};

    if (conversation->phase == PHASE_PARAMS && connection_has_reserve(&conversation->connection))
        exchange_refuse(&conversation->exchange, conversation->request_id, &late,
                        &conversation->params.request);
    conversation_give_up(conversation);
}

bool conversation_has_begun(const struct conversation *conversation)
{
    const struct bytes *unread = &conversation->connection.unread;

    return conversation->phase == PHASE_PARAMS || conversation->decoder.head_size > 0 ||
           conversation->decoder.place != RECORD_IN_HEAD || unread->next < unread->end;
}
