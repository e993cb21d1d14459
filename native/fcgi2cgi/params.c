#include "params.h"

#include <stdint.h>
#include <string.h>

static const struct refusal too_long = {
    "400 Bad Request", "the variables of the request are too long"};
static const struct refusal cut_short = {
    "400 Bad Request", "the last variable of the request is cut short"};
static const struct refusal has_nul = {
    "400 Bad Request", "the request has a variable with a NUL in it"};

void params_begin(struct params *params, char *const service_entries[])
{
    memset(&params->pairs, 0, sizeof params->pairs);
    params->used = 0;
    params->refused = request_begin(&params->request, service_entries);
}

static void begin_entry(struct params *params)
{
    size_t left = sizeof params->text - params->used;

    /* Each length alone first: on 32 bits their sum may wrap. Two bytes are '=' and NUL. */
    if (params->pairs.name_left > left || params->pairs.value_left > left ||
        params->pairs.name_left + params->pairs.value_left + 2 > left)
        params->refused = &too_long;
    params->entry_size = 0;
    params->name_length = params->pairs.name_left;
}

static void write_piece(struct params *params, const void *piece, size_t length)
{
    if (memchr(piece, '\0', length)) {
        params->refused = &has_nul;
        return;
    }
    memcpy(params->text + params->used + params->entry_size, piece, length);
    params->entry_size += length;
    if (params->entry_size == params->name_length)
        params->text[params->used + params->entry_size++] = '=';
}

static bool is_text(const struct params *params, const char *at)
{
    return (uintptr_t)at - (uintptr_t)params->text < sizeof params->text;
}

/* A header that a client has sent twice comes twice from some web servers, though they are to make
 * one variable of it (RFC 3875, section 4.1.18). This does it for them: the values one after the
 * other, as a list. Returns false if the entry is no such header, or the first, or the service's. */
static bool join_header(struct params *params, char *entry)
{
    const char *separator = strncmp(entry, "HTTP_COOKIE=", 12) == 0 ? "; " : ", ";
    size_t left = sizeof params->text - params->used;
    char *value = entry + params->name_length + 1;
    size_t former_length;
    const char *former;

    if (strncmp(entry, "HTTP_", 5) != 0 || memchr(entry, '=', params->name_length))
        return false;
    value[-1] = '\0';
    former = request_find(&params->request, entry);
    value[-1] = '=';
    if (!former || !is_text(params, former))
        return false;
    former_length = strlen(former);
    if (params->entry_size + former_length + 2 > left) {
        params->refused = &too_long;
        return true;
    }
    memmove(value + former_length + 2, value, strlen(value) + 1);
    memcpy(value, former, former_length);
    memcpy(value + former_length, separator, 2);
    params->entry_size += former_length + 2;
    params->refused = request_put(&params->request, entry, params->name_length);
    return true;
}

static void end_entry(struct params *params)
{
    char *entry = params->text + params->used;

    if (params->name_length == 0) {
        params->refused = request_add(&params->request, "=", 0);
        return;
    }
    entry[params->entry_size++] = '\0';
    if (!join_header(params, entry))
        params->refused = request_add(&params->request, entry, params->name_length);
    params->used += params->entry_size;
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
        params->refused = &cut_short;
    return params->refused;
}
