#include "record.h"

#include <string.h>

enum { VERSION = 1 };

static size_t available(const struct bytes *bytes)
{
    return (size_t)(bytes->end - bytes->next);
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void read_head(struct record_decoder *decoder, struct record *record)
{
    const unsigned char *head = decoder->head;

    record->type = head[1];
    record->request_id = (uint16_t)(head[2] << 8 | head[3]);
    record->length = (uint16_t)(head[4] << 8 | head[5]);
    decoder->content_left = record->length;
    decoder->padding_left = head[6];
    decoder->head_size = 0;
}

enum record_event record_next(struct record_decoder *decoder, struct bytes *bytes,
                              struct record *record)
{
    size_t step;

    if (decoder->place == RECORD_IN_CONTENT) {
        if (decoder->content_left)
            return available(bytes) ? RECORD_CONTENT : RECORD_WANTS_BYTES;
        decoder->place = RECORD_IN_PADDING;
        return RECORD_ENDED;
    }
    if (decoder->place == RECORD_IN_PADDING) {
        step = smaller(decoder->padding_left, available(bytes));
        bytes->next += step;
        decoder->padding_left -= step;
        if (decoder->padding_left)
            return RECORD_WANTS_BYTES;
        decoder->place = RECORD_IN_HEAD;
    }
    step = smaller(RECORD_HEAD_SIZE - decoder->head_size, available(bytes));
    memcpy(decoder->head + decoder->head_size, bytes->next, step);
    bytes->next += step;
    decoder->head_size += step;
    /* Before the head is complete: who speaks something else may wait for our answer to less. */
    if (decoder->head_size && decoder->head[0] != VERSION)
        return RECORD_BROKEN;
    if (decoder->head_size < RECORD_HEAD_SIZE)
        return RECORD_WANTS_BYTES;
    read_head(decoder, record);
    decoder->place = RECORD_IN_CONTENT;
    return RECORD_BEGUN;
}

size_t record_content(const struct record_decoder *decoder, const struct bytes *bytes)
{
    return smaller(decoder->content_left, available(bytes));
}

void record_take(struct record_decoder *decoder, struct bytes *bytes, size_t length)
{
    bytes->next += length;
    decoder->content_left -= length;
}

size_t record_wrap(unsigned char *head, enum record_type type, uint16_t request_id, size_t length)
{
    size_t padding = -length % RECORD_ALIGNMENT;

    head[0] = VERSION;
    head[1] = (unsigned char)type;
    head[2] = (unsigned char)(request_id >> 8);
    head[3] = (unsigned char)request_id;
    head[4] = (unsigned char)(length >> 8);
    head[5] = (unsigned char)length;
    head[6] = (unsigned char)padding;
    head[7] = 0;
    memset(head + RECORD_HEAD_SIZE + length, 0, padding);
    return RECORD_HEAD_SIZE + length + padding;
}
