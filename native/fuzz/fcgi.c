/*
 * Fuzzes what fcgi2cgi decodes: records, name-value pairs, the variables of requests, questions.
 *
 * The input is one byte that says how the rest is cut, then what a web server sends. It is decoded
 * twice, whole and in pieces, and the same has to come out: no cut may make a difference. What is
 * accepted as a request has to be an environment, and as a head for a pool be read by our own SCGI
 * front as the same request.
 */
#include "fastcgi/params.h"
#include "fastcgi/values.h"
#include "fcgi2cgi/pool.h"
#include "front/names.h"
#include "front/scgi.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

/* A hash of everything that was decoded, in order. */
struct transcript {
    uint64_t hash;
};

static char *const service_entries[] = {"PATH=/bin", "HTTP_OWN=own", NULL};

static const char *allowed;

static void check(bool is_so)
{
    if (!is_so)
        abort();
}

static void write_down(struct transcript *transcript, const void *bytes, size_t length)
{
    const unsigned char *byte = bytes;

    for (size_t i = 0; i < length; i++)
        transcript->hash = (transcript->hash ^ byte[i]) * 0x100000001b3U;
}

static void write_number(struct transcript *transcript, size_t number)
{
    write_down(transcript, &number, sizeof number);
}

/* The head has our two variables in front, and whether the length is a number is the pool's to
 * say; the rest must come out as it went in. */
static void check_head(const struct request *request)
{
    static char head[POOL_HEAD_SIZE];
    static struct request read_back;
    static char text[REQUEST_TEXT_SIZE];
    char *const none[] = {NULL};
    size_t size = pool_write_head(request, false, head);
    size_t length = 0, at = 0, matched = 2;
    const struct refusal *refused;

    check(size > 0);
    while (head[at] != ':')
        length = length * 10 + (size_t)(head[at++] - '0');
    check(at + 1 + length + 1 == size && head[size - 1] == ',');
    if (length >= sizeof text)
        return; /* too large for a pool, which says so */
    memcpy(text, head + at + 1, length);
    check(!request_begin(&read_back, none, allowed));
    refused = scgi_parse(text, length, &read_back);
    if (refused) {
        check(request_find(request, "CONTENT_LENGTH") != NULL);
        return;
    }
    for (size_t i = request->own_count; i < request->count; i++) {
        const char *entry = request->entries[i];

        if (strncmp(entry, "CONTENT_LENGTH=", 15) != 0 && strncmp(entry, "SCGI=", 5) != 0)
            check(matched < read_back.count && strcmp(read_back.entries[matched++], entry) == 0);
    }
    check(matched == read_back.count);
}

static void end_params(struct params *params, struct transcript *transcript)
{
    const struct refusal *refused = params_end(params);
    const struct request *request = &params->request;

    if (refused) {
        write_down(transcript, refused->reason, strlen(refused->reason));
        return;
    }
    check(request->own_count == 2 && request->count <= REQUEST_ENTRIES);
    check(request->entries[request->count] == NULL);
    for (size_t i = 0; i < request->count; i++) {
        const char *equals = strchr(request->entries[i], '=');

        check(equals && equals != request->entries[i]);
        check(i < request->own_count ||
              names_judge(allowed, request->entries[i], (size_t)(equals - request->entries[i])) ==
                  NAMES_TAKEN);
        write_down(transcript, request->entries[i], strlen(request->entries[i]) + 1);
        check(request_find(request, "HTTP_PROXY") == NULL);
    }
    check(strcmp(request->entries[1], service_entries[1]) == 0);
    check_head(request);
}

static void decode(const uint8_t *input, size_t size, size_t cut, struct transcript *transcript)
{
    static struct params params;
    struct record_decoder decoder = {.head_size = 0};
    struct record record = {.type = 0};
    struct values values = {.name_length = 0};
    unsigned char answer[VALUES_ANSWER_SIZE];
    struct bytes bytes = {input, input};
    const uint8_t *end = input + size;
    size_t length;

    params_begin(&params, service_entries, allowed, REQUEST_HEAD_MOST);
    for (;;) {
        switch (record_next(&decoder, &bytes, &record)) {
        case RECORD_WANTS_BYTES:
            check(bytes.next == bytes.end);
            if (bytes.end == end)
                return;
            bytes.end += (size_t)(end - bytes.end) < cut ? (size_t)(end - bytes.end) : cut;
            break;
        case RECORD_BEGUN:
            write_number(transcript, record.type);
            write_number(transcript, record.request_id);
            write_number(transcript, record.length);
            memset(&values, 0, sizeof values);
            break;
        case RECORD_CONTENT:
            length = record_content(&decoder, &bytes);
            check(length > 0 && length <= record.length);
            if (record.type == RECORD_PARAMS)
                params_feed(&params, (struct bytes){bytes.next, bytes.next + length});
            else if (record.type == RECORD_GET_VALUES)
                values_feed(&values, (struct bytes){bytes.next, bytes.next + length});
            write_down(transcript, bytes.next, length);
            record_take(&decoder, &bytes, length);
            break;
        case RECORD_ENDED:
            if (record.type == RECORD_GET_VALUES)
                write_down(transcript, answer, values_write(&values, answer));
            if (record.type == RECORD_PARAMS && record.length == 0) {
                end_params(&params, transcript);
                params_begin(&params, service_entries, allowed, REQUEST_HEAD_MOST);
            }
            break;
        case RECORD_BROKEN:
            write_down(transcript, "broken", 6);
            return;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct transcript whole = {1}, in_pieces = {1};
    size_t cut = size ? (size_t)(input[0] % 64) + 1 : 1;

    if (size == 0)
        return 0;
    allowed = input[0] & 0x40 ? "HTTPS,standard,GIT_*,GIT_DIR" : NULL;
    decode(input + 1, size - 1, size, &whole);
    decode(input + 1, size - 1, cut, &in_pieces);
    check(whole.hash == in_pieces.hash);
    return 0;
}
