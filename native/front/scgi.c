/*
 * The shortest head that says what every head has to is 24 bytes, "24:" before and "," behind it.
 * So that many can be read at once, whatever comes: they hold the length, and after it is known
 * what is left is read to the byte. That takes two reads, and works on a pipe as on a socket.
 */
#include "scgi.h"

#include "carry.h"
#include "clock.h"
#include "direct.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char first_name[] = "CONTENT_LENGTH";
static const char mark_name[] = "SCGI";

/* With the NUL of each: CONTENT_LENGTH, one digit, SCGI, "1". */
enum { LEAST_CONTENT = sizeof first_name + 2 + sizeof mark_name + 2 };
enum { LEAST_HEAD = sizeof "24:" - 1 + LEAST_CONTENT + 1 };
static_assert((int)SCGI_FORESEEN_SIZE < (int)REQUEST_TEXT_SIZE, "there is a NUL behind it");
enum { MOST_LENGTH_DIGITS = 18 }; /* of CONTENT_LENGTH: fits in 64 bits */

static const struct refusal nobody = {"", "the connection was closed without a request"};
static const struct refusal late = {
    "408 Request Timeout", "the head of the request has not come in time"};
static const struct refusal cut = {
    "400 Bad Request", "the request ends within its head"};
static const struct refusal no_netstring = {
    "400 Bad Request", "the request does not begin with a netstring, as SCGI requests do"};
static const struct refusal too_short = {
    "400 Bad Request", "the head of the request is too short for CONTENT_LENGTH and SCGI"};
static const struct refusal too_large = {
    "431 Request Header Fields Too Large", "the head of the request is larger than its limit"};
static const struct refusal no_pairs = {
    "400 Bad Request", "the head of the request is no list of names and values"};
static const struct refusal not_first = {
    "400 Bad Request", "the head of the request does not begin with CONTENT_LENGTH"};
static const struct refusal no_length = {
    "400 Bad Request", "the CONTENT_LENGTH of the request is no number"};
static const struct refusal no_mark = {
    "400 Bad Request", "the request does not say SCGI=1"};
static const struct refusal other_length = {
    "500 Internal Server Error",
    "CONTENT_LENGTH is not what the client has said; in nginx, scgi_request_buffering has to be on"};

struct source {
    int fd;
    int limit_ms;
    uint64_t deadline_ms; /* 0 as long as nothing had to be waited for: most often all is there */
    size_t taken;
};

/* Wait until there is something to read. */
static const struct refusal *wait_for_more(struct source *source)
{
    struct pollfd readable = {.fd = source->fd, .events = POLLIN};

    for (;;) {
        uint64_t now = clock_in_ms(direct_now());

        if (!source->deadline_ms)
            source->deadline_ms = now + (uint64_t)source->limit_ms;
        if (now >= source->deadline_ms)
            return &late;
        if (poll(&readable, 1, (int)(source->deadline_ms - now)) > 0)
            return NULL;
    }
}

/* Read at least one byte, and no more than `size`. */
static const struct refusal *take(struct source *source, char *to, size_t size, size_t *count)
{
    for (;;) {
        ssize_t got = recv(source->fd, to, size, MSG_DONTWAIT);
        const struct refusal *refused = NULL;

        if (got < 0 && errno == ENOTSOCK) {
            refused = wait_for_more(source);
            if (!refused)
                got = read(source->fd, to, size);
        }
        if (got > 0) {
            *count = (size_t)got;
            source->taken += (size_t)got;
            return NULL;
        }
        if (got == 0)
            return source->taken ? &cut : &nobody;
        if (!refused && errno == EAGAIN)
            refused = wait_for_more(source);
        else if (!refused && errno != EINTR)
            refused = &nobody; /* reset: the client has gone */
        if (refused)
            return refused;
    }
}

static const struct refusal *take_all(struct source *source, char *to, size_t size)
{
    while (size > 0) {
        size_t count;
        const struct refusal *refused = take(source, to, size, &count);

        if (refused)
            return refused;
        to += count;
        size -= count;
    }
    return NULL;
}

/* Look at the beginning of a netstring. `*colon` is 0 as long as more has to come. */
static const struct refusal *read_length(const char *start, size_t count, size_t most,
                                         size_t *length, size_t *colon)
{
    *length = 0;
    *colon = 0;
    for (size_t i = 0; i < count; i++) {
        if (start[i] == ':' && i > 0) {
            *colon = i;
            return *length < LEAST_CONTENT ? &too_short : NULL;
        }
        if (start[i] < '0' || start[i] > '9' || (i == 1 && start[0] == '0'))
            return &no_netstring;
        *length = *length * 10 + (size_t)(start[i] - '0');
        if (*length > most)
            return &too_large;
    }
    return NULL;
}

static bool is_number(const char *text)
{
    size_t digits = 0;

    while (text[digits] >= '0' && text[digits] <= '9')
        digits++;
    return digits > 0 && digits <= MOST_LENGTH_DIGITS && text[digits] == '\0';
}

/* nginx that does not wait for a body sends, as its length, that of what has come of it by then. A
 * program would take a part for the whole. */
static bool is_cut(const struct request *request)
{
    const char *said = request_find(request, "HTTP_CONTENT_LENGTH");

    return said && is_number(said) && strcmp(said, request_find(request, "CONTENT_LENGTH")) != 0;
}

const struct refusal *scgi_parse(char text[REQUEST_TEXT_SIZE], size_t length,
                                 struct request *request)
{
    struct request_room room = {text + length + 1, text + REQUEST_TEXT_SIZE};
    size_t from = 0;
    bool has_mark = false;

    text[length] = '\0';
    if (length == 0 || text[length - 1] != '\0')
        return &no_pairs;
    if (strcmp(text, first_name) != 0)
        return &not_first;
    while (from < length) {
        char *name = text + from;
        size_t name_length = strlen(name);
        char *value = name + name_length + 1;
        const struct refusal *refused;

        if (value >= text + length)
            return &no_pairs;
        if (from == 0 && !is_number(value))
            return &no_length;
        if (strcmp(name, mark_name) == 0)
            has_mark = strcmp(value, "1") == 0;
        from += name_length + 1 + strlen(value) + 1;
        name[name_length] = '=';
        refused = request_add(request, name, name_length, &room);
        if (refused)
            return refused;
    }
    if (!has_mark)
        return &no_mark;
    return is_cut(request) ? request_blame(request, first_name, strlen(first_name), &other_length) : NULL;
}

uint64_t scgi_body_length(struct request *request)
{
    static const char without[] = "CONTENT_LENGTH=" SCGI_NO_LENGTH;
    char **entry = request_entry(request, first_name, sizeof first_name - 1);
    uint64_t length = 0;

    if (strcmp(*entry, without) == 0) {
        (*entry)[sizeof first_name] = '\0';
        return CARRY_TO_THE_END;
    }
    for (const char *digit = *entry + sizeof first_name; *digit >= '0' && *digit <= '9'; digit++)
        length = length * 10 + (uint64_t)(*digit - '0');
    return length;
}

const struct refusal *scgi_read(int fd, int limit_ms, char text[REQUEST_TEXT_SIZE],
                                struct request *request)
{
    struct source source = {.fd = fd, .limit_ms = limit_ms};
    char start[LEAST_HEAD];
    const struct refusal *refused;
    size_t length, colon, count, present;

    /* What is wrong is told at once, not when the rest has come. */
    while (source.taken < LEAST_HEAD) {
        refused = take(&source, start + source.taken, LEAST_HEAD - source.taken, &count);
        if (!refused)
            refused = read_length(start, source.taken, request->head_limit, &length, &colon);
        if (refused)
            return refused;
    }
    present = LEAST_HEAD - (colon + 1);
    memcpy(text, start + colon + 1, present);
    /* The comma that ends a netstring comes where the last NUL goes afterwards. */
    refused = take_all(&source, text + present, length + 1 - present);
    if (refused)
        return refused;
    return text[length] == ',' ? scgi_parse(text, length, request) : &no_netstring;
}

bool scgi_foresee(int fd, int limit_ms, char text[REQUEST_TEXT_SIZE], struct request *request)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    size_t length, colon;
    ssize_t count;

    if (poll(&readable, 1, limit_ms) <= 0)
        return false;
    count = recv(fd, text, SCGI_FORESEEN_SIZE, MSG_PEEK | MSG_DONTWAIT);
    if (count < LEAST_HEAD || read_length(text, LEAST_HEAD, request->head_limit, &length, &colon) ||
        colon + 1 + length >= (size_t)count || text[colon + 1 + length] != ',')
        return false;
    memmove(text, text + colon + 1, length);
    return !scgi_parse(text, length, request);
}
