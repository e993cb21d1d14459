#include "values.h"

#include <string.h>

/* One process serves one connection, and how many there may be is the pool's to know. A web server
 * that keeps to a small number would wait for no reason, so it is told that of a pool without
 * further settings; beyond its own maximum the connections wait in the kernel's queue. */
static const struct {
    const char *name;
    const char *value;
} known[VALUES_COUNT] = {
    {"FCGI_MAX_CONNS", "256"},
    {"FCGI_MAX_REQS", "256"},
    {"FCGI_MPXS_CONNS", "0"},
};

static void keep_name(struct values *values, struct bytes piece)
{
    size_t length = (size_t)(piece.end - piece.next);

    /* One that is too long stays so, and equals none. */
    if (length > sizeof values->name - values->name_length)
        length = sizeof values->name - values->name_length;
    memcpy(values->name + values->name_length, piece.next, length);
    values->name_length += length;
}

static void end_name(struct values *values)
{
    for (size_t i = 0; i < VALUES_COUNT; i++)
        if (strlen(known[i].name) == values->name_length &&
            memcmp(known[i].name, values->name, values->name_length) == 0)
            values->are_asked[i] = true;
}

void values_feed(struct values *values, struct bytes bytes)
{
    struct bytes piece;

    for (;;) {
        switch (pairs_next(&values->pairs, &bytes, &piece)) {
        case PAIRS_WANT_BYTES:
            return;
        case PAIRS_BEGUN:
            values->name_length = 0;
            break;
        case PAIRS_NAME:
            keep_name(values, piece);
            break;
        case PAIRS_VALUE:
            break;
        case PAIRS_ENDED:
            end_name(values);
        }
    }
}

size_t values_write(const struct values *values, unsigned char answer[VALUES_ANSWER_SIZE])
{
    unsigned char *out = answer;

    for (size_t i = 0; i < VALUES_COUNT; i++) {
        size_t name_length = strlen(known[i].name);
        size_t value_length = strlen(known[i].value);

        if (!values->are_asked[i])
            continue;
        *out++ = (unsigned char)name_length;
        *out++ = (unsigned char)value_length;
        memcpy(out, known[i].name, name_length);
        memcpy(out + name_length, known[i].value, value_length);
        out += name_length + value_length;
    }
    return (size_t)(out - answer);
}
