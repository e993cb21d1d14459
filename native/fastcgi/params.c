#include "params.h"

#include <string.h>

static const struct refusal too_long = {
    "431 Request Header Fields Too Large", "the head of the request is larger than its limit"};
static const struct refusal cut_short = {
    "400 Bad Request", "the last variable of the request is cut short"};
static const struct refusal has_nul = {
    "400 Bad Request", "the request has a variable with a NUL in it"};

void params_begin(struct params *params, char *const service_entries[], const char *allowed_names,
                  size_t head_limit)
{
    memset(&params->pairs, 0, sizeof params->pairs);
    params->used = params->entry_size = params->name_length = 0;
    params->request.head_limit = head_limit;
    params->refused = request_begin(&params->request, service_entries, allowed_names);
}

static void begin_entry(struct params *params)
{
    /* Headers that were joined take more than they came in. */
    const size_t limit = params->request.head_limit;
    const size_t left = params->used < limit ? limit - params->used : 0;

    /* Each length alone first: on 32 bits their sum may wrap. Two bytes are '=' and NUL. */
    if (params->pairs.name_left > left || params->pairs.value_left > left ||
        params->pairs.name_left + params->pairs.value_left + 2 > left)
        params->refused = &too_long;
    params->entry_size = 0;
    params->name_length = params->pairs.name_left;
}

/* As much of the name as has come. */
static const struct refusal *blame_entry(struct params *params, const struct refusal *refused)
{
    size_t length = params->entry_size < params->name_length ? params->entry_size : params->name_length;

    return request_blame(&params->request, params->text + params->used, length, refused);
}

static void write_piece(struct params *params, const void *piece, size_t length)
{
    if (memchr(piece, '\0', length)) {
        params->refused = blame_entry(params, &has_nul);
        return;
    }
    memcpy(params->text + params->used + params->entry_size, piece, length);
    params->entry_size += length;
    if (params->entry_size == params->name_length)
        params->text[params->used + params->entry_size++] = '=';
}

static void end_entry(struct params *params)
{
    struct request_room room = {NULL, params->text + sizeof params->text};
    char *entry = params->text + params->used;

    entry[params->entry_size] = '\0';
    room.next = entry + params->entry_size + 1;
    params->refused = request_add(&params->request, entry, params->name_length, &room);
    params->used = (size_t)(room.next - params->text);
    params->entry_size = params->name_length = 0;
}

void params_feed(struct params *params, struct bytes bytes)
{
    struct bytes piece;

    while (!params->refused) {
        switch (pairs_next(&params->pairs, &bytes, &piece)) {
        case PAIRS_WANT_BYTES:
            return;
        case PAIRS_BEGUN:
            begin_entry(params);
            break;
        case PAIRS_NAME:
        case PAIRS_VALUE:
            write_piece(params, piece.next, (size_t)(piece.end - piece.next));
            break;
        case PAIRS_ENDED:
            end_entry(params);
        }
    }
}

const struct refusal *params_end(struct params *params)
{
    if (!params->refused && !pairs_are_whole(&params->pairs))
        params->refused = blame_entry(params, &cut_short);
    return params->refused;
}
