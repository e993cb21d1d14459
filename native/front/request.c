/*
 * Names are compared one by one: a request has some thirty, and a table of hashes would cost a copy
 * of a program more page faults than that.
 */
#include "request.h"

#include "bytes.h"
#include "names.h"

#include <stdbool.h>
#include <string.h>

static const struct refusal two_lengths = {
    "400 Bad Request", "the request has a variable twice that says where it ends"};
static const struct refusal too_many = {
    "431 Request Header Fields Too Large", "the request has too many variables"};
static const struct refusal too_long = {
    "431 Request Header Fields Too Large", "the variables of the request are too long"};

static const struct refusal too_large = {
    "413 Content Too Large", "the body of the request is larger than the limit"};

static bool is_named(const char *entry, const char *name, size_t length)
{
    return strncmp(entry, name, length) == 0 && entry[length] == '=';
}

char **request_entry(struct request *request, const char *name, size_t length)
{
    for (size_t i = 0; i < request->count; i++)
        if (is_named(request->entries[i], name, length))
            return &request->entries[i];
    return NULL;
}

static const struct refusal *append(struct request *request, char *entry)
{
    if (request->count == REQUEST_ENTRIES)
        return &too_many;
    request->entries[request->count++] = entry;
    request->entries[request->count] = NULL;
    return NULL;
}

const struct refusal *request_blame(struct request *request, const char *name, size_t name_length,
                                    const struct refusal *refused)
{
    request->culprit = (struct request_name){name, name_length};
    return refused;
}

static void leave_out(struct request *request, const char *name, size_t name_length)
{
    if (request->left_out_count++ == 0)
        request->left_out = (struct request_name){name, name_length};
}

const struct refusal *request_begin(struct request *request, char *const service_entries[],
                                    const char *allowed_names)
{
    const struct refusal *refused = NULL;

    request->allowed_names = allowed_names;
    request->count = 0;
    request->left_out_count = 0;
    request->culprit = (struct request_name){NULL, 0};
    request->entries[0] = NULL;
    for (size_t i = 0; service_entries[i] && !refused; i++)
        refused = append(request, service_entries[i]);
    request->own_count = request->count;
    return refused;
}

void request_begin_again(struct request *request)
{
    request->count = request->own_count;
    request->entries[request->count] = NULL;
    request->left_out_count = 0;
    request->culprit = (struct request_name){NULL, 0};
}

/* Put a value behind that of an entry which is there, as one more of a list. */
static const struct refusal *join(char **present, const char *entry, size_t name_length,
                                  struct request_room *room)
{
    const char *separator = is_named(entry, "HTTP_COOKIE", strlen("HTTP_COOKIE")) ? "; " : ", ";
    const char *value = entry + name_length + 1;
    size_t former = strlen(*present), length = strlen(value);
    char *joined = room->next;

    if (former + 2 + length + 1 > (size_t)(room->end - joined))
        return &too_long;
    memcpy(joined, *present, former);
    memcpy(joined + former, separator, 2);
    memcpy(joined + former + 2, value, length + 1);
    room->next += former + 2 + length + 1;
    *present = joined;
    return NULL;
}

/* A second value: which of the two counts? */
static const struct refusal *repeat(char **present, char *entry, size_t name_length,
                                    struct request_room *room)
{
    if (strncmp(entry, "HTTP_", strlen("HTTP_")) == 0)
        return join(present, entry, name_length, room);
    /* Who reads the first of them and who reads the last would see two different requests. */
    if (is_named(entry, "CONTENT_LENGTH", name_length) && strcmp(*present, entry) != 0)
        return &two_lengths;
    *present = entry;
    return NULL;
}

const struct refusal *request_add(struct request *request, char *entry, size_t name_length,
                                  struct request_room *room)
{
    const struct refusal *refused;
    enum names_verdict verdict;
    char **present;

    if (!names_is_plain(entry, name_length)) {
        leave_out(request, entry, name_length);
        return NULL;
    }
    present = request_entry(request, entry, name_length);
    if (present && present < request->entries + request->own_count)
        return NULL;
    verdict = names_judge(request->allowed_names, entry, name_length);
    if (verdict == NAMES_LEFT_OUT)
        return NULL;
    if (verdict == NAMES_FORBIDDEN) {
        leave_out(request, entry, name_length);
        return NULL;
    }
    refused = present ? repeat(present, entry, name_length, room) : append(request, entry);
    return refused ? request_blame(request, entry, name_length, refused) : NULL;
}

const struct refusal *request_put(struct request *request, char *entry, size_t name_length)
{
    char **present = request_entry(request, entry, name_length);

    if (!present)
        return append(request, entry);
    *present = entry;
    return NULL;
}

static const struct refusal *say_trace(struct request *request)
{
    static char entry[sizeof "TRACEPARENT=" + TRACE_PARENT_LENGTH] = "TRACEPARENT=";
    const char *text = request_find(request, "HTTP_TRACEPARENT");

    if (!text || request_find(request, "TRACEPARENT") || !trace_is_parent(text))
        return NULL;
    memcpy(entry + strlen("TRACEPARENT="), text, TRACE_PARENT_LENGTH);
    return append(request, entry);
}

const struct refusal *request_complete(struct request *request)
{
    static char entry[] = "GATEWAY_INTERFACE=CGI/1.1";
    const struct refusal *refused = NULL;

    if (!request_find(request, "GATEWAY_INTERFACE"))
        refused = append(request, entry);
    return refused ? refused : say_trace(request);
}

const char *request_find(const struct request *request, const char *name)
{
    size_t length = strlen(name);

    for (size_t i = 0; i < request->count; i++)
        if (is_named(request->entries[i], name, length))
            return request->entries[i] + length + 1;
    return NULL;
}

bool request_parse_head_limit(const char *text, size_t *limit)
{
    uint64_t bytes;

    if (!bytes_parse(text, &bytes) || bytes < REQUEST_HEAD_LEAST || bytes > REQUEST_HEAD_MOST)
        return false;
    *limit = (size_t)bytes;
    return true;
}

const struct refusal *request_check_body(struct request *request, uint64_t limit)
{
    static const char name[] = "CONTENT_LENGTH";
    const char *text = request_find(request, name);
    uint64_t length = 0;

    for (; limit && text && *text >= '0' && *text <= '9'; text++) {
        length = length * 10 + (uint64_t)(*text - '0');
        if (length > limit)
            return request_blame(request, name, strlen(name), &too_large);
    }
    return NULL;
}

void request_trace(const struct request *request, char trace[REQUEST_TRACE_SIZE])
{
    const char *text = request_find(request, "HTTP_TRACEPARENT");

    trace[0] = '\0';
    if (!text || !trace_is_parent(text))
        return;
    memcpy(trace, text + TRACE_ID_AT, TRACE_ID_LENGTH);
    trace[TRACE_ID_LENGTH] = '\0';
}
