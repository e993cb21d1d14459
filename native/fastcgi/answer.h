/*
 * What goes back to the web server for one request: two streams, and the record that ends it.
 *
 * Owns what of it waits, and for how long. Must not know what carries the request out, nor when that is
 * over.
 */
#ifndef SOCKETD_FCGI_ANSWER_H
#define SOCKETD_FCGI_ANSWER_H

#include "connection.h"
#include "front/early.h"
#include "front/note.h"
#include "opening.h"
#include "service.h"

#include <stdint.h>

enum protocol_status {
    REQUEST_COMPLETE = 0,
    CANNOT_MULTIPLEX = 1,
    UNKNOWN_ROLE = 3,
};

struct answer {
    const struct service *service;
    struct connection *connection;
    uint16_t request_id;
    bool has_begun;
    struct early early;
    struct opening opening;
};

void answer_begin(struct answer *answer, uint16_t request_id, const struct request *request);

/* Have it wait for the end of the request's body, as early.h says. */
void answer_hold(struct answer *answer);

/* Let it go out if it need not wait any more. */
void answer_let_go(struct answer *answer, bool is_input_over, bool is_whole);

/* Tell whether there is room for whatever may come next. */
bool answer_has_room(const struct answer *answer);

/* Return where to put what comes of a stream, stdout or stderr, and how much. */
unsigned char *answer_room(struct answer *answer, enum record_type type, size_t *room);

/* So much has been put there. */
void answer_take(struct answer *answer, enum record_type type, size_t length);

/* Send what is to be sent by now of its beginning. */
void answer_send(struct answer *answer);

/* No more comes of its head. */
void answer_end_head(struct answer *answer);

/* Answer in place of a program. */
void answer_put_refusal(struct answer *answer, const struct refusal *refused, const char *about);

/* Write a line to where stderr goes, with the name of the service before it. */
__attribute__((format(printf, 2, 3))) void answer_say(struct answer *answer, const char *format, ...);

/* The same for a note. Returns whether it is worth a line. */
bool answer_put_note(struct answer *answer, const struct note *note);

/* All has been put: end both streams and the request. */
void answer_end(struct answer *answer, unsigned app_status);

/* End a request without an answer. */
void answer_reject(struct connection *connection, uint16_t request_id, enum protocol_status status);

/* Return for how many milliseconds what waits to be sent may wait, -1 for ever. */
int answer_patience(const struct answer *answer, uint64_t now_ms);

#endif
