#include "answer.h"

#include "front/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    END_SIZE = 8,
    LINE_SIZE = 1024,
};

static void put(struct answer *answer, enum record_type type, const void *content, size_t length)
{
    connection_put(answer->connection, type, answer->request_id, content, length);
}

static void put_end(struct connection *connection, uint16_t request_id, unsigned app_status,
                    enum protocol_status protocol_status)
{
    const unsigned char body[END_SIZE] = {
        (unsigned char)(app_status >> 24), (unsigned char)(app_status >> 16),
        (unsigned char)(app_status >> 8), (unsigned char)app_status,
        (unsigned char)protocol_status};

    connection_put(connection, RECORD_END_REQUEST, request_id, body, sizeof body);
}

void answer_reject(struct connection *connection, uint16_t request_id, enum protocol_status status)
{
    put_end(connection, request_id, 0, status);
}

void answer_begin(struct answer *answer, uint16_t request_id, const struct request *request)
{
    const char *method = request_find(request, "REQUEST_METHOD");

    answer->request_id = request_id;
    answer->has_begun = false;
    answer->early.is_held = false;
    opening_begin(&answer->opening, method && strcmp(method, "HEAD") == 0);
}

void answer_hold(struct answer *answer)
{
    early_begin(&answer->early);
    connection_hold(answer->connection, answer->request_id);
}

void answer_let_go(struct answer *answer, bool is_input_over, bool is_whole)
{
    const struct early_facts facts = {.is_input_over = is_input_over,
                                      .is_answer_whole = is_whole,
                                      .is_full = !answer_has_room(answer)};

    if (answer->early.is_held && early_may_go(&answer->early, facts, clock_ms()))
        connection_release(answer->connection);
}

bool answer_has_room(const struct answer *answer)
{
    size_t room;

    connection_room(answer->connection, &room);
    return room >= (answer->opening.is_over ? 1 : OPENING_MOST);
}

unsigned char *answer_room(struct answer *answer, enum record_type type, size_t *room)
{
    if (!answer->opening.is_over)
        return opening_room(&answer->opening, type, room);
    return connection_room(answer->connection, room);
}

void answer_take(struct answer *answer, enum record_type type, size_t length)
{
    answer->has_begun = answer->has_begun || type == RECORD_STDOUT;
    if (answer->opening.is_over && answer->opening.is_head_only && type == RECORD_STDOUT)
        return;
    if (answer->opening.is_over) {
        connection_seal(answer->connection, type, answer->request_id, length);
        return;
    }
    opening_take(&answer->opening, type, length, clock_ms());
    answer_send(answer);
}

void answer_send(struct answer *answer)
{
    struct opening_piece piece;

    if (!answer_has_room(answer))
        return;
    while (opening_next(&answer->opening, clock_ms(), &piece))
        put(answer, piece.type, piece.bytes, piece.length);
}

void answer_end_head(struct answer *answer)
{
    opening_end(&answer->opening);
}

void answer_put_refusal(struct answer *answer, const struct refusal *refused, const char *about)
{
    char text[REFUSAL_ANSWER_SIZE];
    const size_t size = refusal_write(refused, about, text);
    const char *body = memmem(text, size, "\r\n\r\n", 4);

    put(answer, RECORD_STDOUT, text,
        body && answer->opening.is_head_only ? (size_t)(body + 4 - text) : size);
}

void answer_say(struct answer *answer, const char *format, ...)
{
    char text[LINE_SIZE], line[LINE_SIZE];
    va_list values;

    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    snprintf(line, sizeof line, "%s: %.900s\n", answer->service->name, text);
    if (answer->service->stderr_mode == STDERR_TO_CLIENT)
        put(answer, RECORD_STDERR, line, strlen(line));
    else if (answer->service->stderr_mode == STDERR_INHERITED)
        (void)!write(STDERR_FILENO, line, strlen(line));
}

bool answer_put_note(struct answer *answer, const struct note *note)
{
    char text[NOTE_LINE_SIZE];

    if (!note_write(note, text))
        return false;
    answer_say(answer, "%s", text);
    return true;
}

void answer_end(struct answer *answer, unsigned app_status)
{
    answer_end_head(answer);
    answer_send(answer);
    put(answer, RECORD_STDOUT, NULL, 0);
    put(answer, RECORD_STDERR, NULL, 0);
    put_end(answer->connection, answer->request_id, app_status, REQUEST_COMPLETE);
}

int answer_patience(const struct answer *answer, uint64_t now_ms)
{
    return clock_sooner(
        answer_has_room(answer) ? opening_patience(&answer->opening, now_ms) : -1,
        early_patience(&answer->early, now_ms));
}
