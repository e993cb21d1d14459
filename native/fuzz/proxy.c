/*
 * Fuzzes the header of the PROXY protocol: whatever comes is one, or the beginning of one, or none.
 *
 * The input is what a proxy sends. What is said of all of it has to be said of each of its beginnings:
 * none is called wrong that can still become right, and none goes on that is whole. The second time it
 * is taken off a connection in pieces, and what is behind the header must still be there.
 */
#include "proxy_intake.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum { MOST = 16384, LIMIT_MS = 10000 };

static struct proxy_header whole, part;
static struct proxy_intake intake;

static void check(bool is_so)
{
    if (!is_so)
        abort();
}

static void check_end(const struct address *end)
{
    check(end->family == AF_INET || end->family == AF_INET6);
    check(end->path[0] == '\0');
}

static void check_header(const struct proxy_header *header, size_t size)
{
    check(header->size > 0 && header->size <= size && header->size <= PROXY_MOST);
    if (header->has_ends) {
        check_end(&header->source);
        check_end(&header->destination);
    }
    for (size_t i = 0; i < PROXY_VARIABLES; i++) {
        const char *text = header->variables[i];
        const size_t length = strlen(proxy_variable_names[i]);

        if (!*text)
            continue;
        check(memcmp(text, proxy_variable_names[i], length) == 0 && text[length] == '=');
        check(strlen(text) > length + 1 && strlen(text) <= length + 1 + PROXY_VALUE_MOST);
        for (const char *at = text; *at; at++)
            check((unsigned char)*at >= ' ' && *at != 0x7F);
    }
}

/* Memory of exactly the size of a beginning, so that a read behind it is found. */
static enum proxy_verdict parse_beginning(const uint8_t *input, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    enum proxy_verdict verdict;

    memcpy(copy, input, size);
    verdict = proxy_parse(&part, copy, size);
    free(copy);
    return verdict;
}

static void check_pieces(const uint8_t *input, size_t size, enum proxy_verdict expected)
{
    static uint8_t left[MOST];
    enum proxy_verdict verdict = PROXY_MORE;
    size_t sent = 0, step = 1 + input[size - 1] % 40;
    int ends[2];

    check(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    intake.count = 0;
    while (verdict == PROXY_MORE && sent < size) {
        const size_t piece = step < size - sent ? step : size - sent;

        check(write(ends[0], input + sent, piece) == (ssize_t)piece);
        sent += piece;
        verdict = proxy_take(&intake, &part, ends[1]);
    }
    check(verdict == expected);
    if (verdict == PROXY_WHOLE) {
        const ssize_t behind = recv(ends[1], left, sizeof left, MSG_DONTWAIT);
        const size_t count = behind < 0 ? 0 : (size_t)behind;

        check(part.size + count == sent && memcmp(left, input + part.size, count) == 0);
        check(memcmp(&part, &whole, sizeof part) == 0);
    }
    close(ends[0]);
    if (verdict == PROXY_MORE)
        check(proxy_take_within(&intake, &part, ends[1], LIMIT_MS) == PROXY_WRONG);
    close(ends[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    enum proxy_verdict verdict, before = PROXY_MORE;

    if (size == 0 || size > MOST)
        return 0;
    memset(&whole, 0, sizeof whole);
    memset(&part, 0, sizeof part);
    verdict = proxy_parse(&whole, input, size);
    if (verdict == PROXY_WHOLE)
        check_header(&whole, size);
    for (size_t count = 0; count <= size && count <= 600; count++) {
        const enum proxy_verdict now = parse_beginning(input, count);

        check(before == PROXY_MORE || now == before);
        before = now;
    }
    if (size <= 600)
        check(before == verdict);
    check_pieces(input, size, verdict);
    return 0;
}
