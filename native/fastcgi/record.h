/*
 * FastCGI records (specification 1.0, section 3.3 and 8): the form of what goes over a connection.
 *
 * Owns heads, lengths and padding, both ways. Does no input or output, and must not know what the
 * records of a type mean.
 */
#ifndef SOCKETD_RECORD_H
#define SOCKETD_RECORD_H

#include <stddef.h>
#include <stdint.h>

enum {
    RECORD_HEAD_SIZE = 8,
    RECORD_ALIGNMENT = 8,         /* what the specification recommends to pad records to */
    RECORD_CONTENT_SIZE = 0xfff8, /* the most that fills a record to that alignment */
};

enum record_type {
    RECORD_BEGIN_REQUEST = 1,
    RECORD_ABORT_REQUEST = 2,
    RECORD_END_REQUEST = 3,
    RECORD_PARAMS = 4,
    RECORD_STDIN = 5,
    RECORD_STDOUT = 6,
    RECORD_STDERR = 7,
    RECORD_GET_VALUES = 9,
    RECORD_GET_VALUES_RESULT = 10,
    RECORD_UNKNOWN_TYPE = 11,
};

struct record {
    unsigned char type;
    uint16_t request_id; /* 0 is no request: the record is about the connection */
    uint16_t length;     /* of its content */
};

/* Bytes that have arrived and were not taken yet. */
struct bytes {
    const unsigned char *next;
    const unsigned char *end;
};

/* All zero at the start of a connection. */
struct record_decoder {
    enum { RECORD_IN_HEAD, RECORD_IN_CONTENT, RECORD_IN_PADDING } place;
    unsigned char head[RECORD_HEAD_SIZE];
    size_t head_size;
    size_t content_left;
    size_t padding_left;
};

enum record_event {
    RECORD_WANTS_BYTES, /* all that there was has been taken */
    RECORD_BEGUN,       /* the head has been read */
    RECORD_CONTENT,     /* there is content; record_content() says how much of it */
    RECORD_ENDED,       /* all content has been taken; padding may be still to come */
    RECORD_BROKEN,      /* this is another version, or no FastCGI; nothing can follow */
};

/* Take bytes up to the next event. After RECORD_BEGUN `record` holds what the head says. */
enum record_event record_next(struct record_decoder *decoder, struct bytes *bytes,
                              struct record *record);

/* After RECORD_CONTENT: return how much content lies at bytes->next. */
size_t record_content(const struct record_decoder *decoder, const struct bytes *bytes);

/* After RECORD_CONTENT: take so much of it. Content that is not taken comes again. */
void record_take(struct record_decoder *decoder, struct bytes *bytes, size_t length);

/* Write the head of a record in front of its content and the padding behind it. Returns the size
 * of the whole record. */
size_t record_wrap(unsigned char *head, enum record_type type, uint16_t request_id, size_t length);

#endif
