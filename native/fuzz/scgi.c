/*
 * Fuzzes the head of SCGI requests: whatever comes is refused, or is an environment.
 *
 * The input is what a web server sends. It is read from a pipe, and the same has to come out as of
 * the content that has arrived whole; what is behind the head must still be in the pipe.
 */
#include "front/choice.h"
#include "front/names.h"
#include "front/scgi.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum { PIPE_SIZE = 65536, LIMIT_MS = 10000 };

static char *const service_entries[] = {"PATH=/bin", "HTTP_OWN=own", NULL};
static struct request from_pipe, whole;
static char pipe_text[REQUEST_TEXT_SIZE], whole_text[REQUEST_TEXT_SIZE];

static const char *allowed;

static void check(bool is_so)
{
    if (!is_so)
        abort();
}

static void check_environment(const struct request *request)
{
    check(request->count <= REQUEST_ENTRIES && request->entries[request->count] == NULL);
    check(strcmp(request->entries[1], service_entries[1]) == 0);
    check(request_find(request, "HTTP_PROXY") == NULL);
    check(strcmp(request_find(request, "SCGI"), "1") == 0);
    for (size_t i = 0; i < request->count; i++) {
        const char *equals = strchr(request->entries[i], '=');

        check(equals && equals != request->entries[i]);
        check(i < request->own_count ||
              names_judge(allowed, request->entries[i], (size_t)(equals - request->entries[i])) ==
                  NAMES_TAKEN);
    }
}

/* What has been accepted is a netstring: find its content again. */
static void check_against_whole(const uint8_t *input, size_t size, size_t left)
{
    size_t length = strtoul((const char *)input, NULL, 10);
    const uint8_t *content = (const uint8_t *)memchr(input, ':', size) + 1;

    check((size_t)(content - input) + length + 1 + left == size);
    memcpy(whole_text, content, length);
    check(!request_begin(&whole, service_entries, allowed));
    check(!scgi_parse(whole_text, length, &whole));
    check(whole.count == from_pipe.count);
    for (size_t i = 0; i < whole.count; i++)
        check(strcmp(whole.entries[i], from_pipe.entries[i]) == 0);
}

/* No folder is as empty as one that there is not: nothing may be found, whatever the path. */
static void check_choice(struct request *request)
{
    static const struct rule rules[] = {
        {"/proc/nowhere", NULL, "index"}, {NULL, "/proc/nowhere,/proc/nobody", "index"}};
    static struct choice choice;

    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        const struct refusal *refused = choice_make(&rules[i], request, &choice);

        check(refused && refused->status[0] == '4');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static char left[PIPE_SIZE];
    const struct refusal *refused;
    int ends[2];

    if (size == 0 || size > PIPE_SIZE || pipe(ends) < 0)
        return 0;
    check(write(ends[1], input, size) == (ssize_t)size);
    close(ends[1]);
    allowed = size % 2 ? "HTTPS,standard,GIT_*,GIT_DIR" : NULL;
    check(!request_begin(&from_pipe, service_entries, allowed));
    from_pipe.head_limit = REQUEST_HEAD_MOST;
    refused = scgi_read(ends[0], LIMIT_MS, pipe_text, &from_pipe);
    if (refused) {
        check(refused->reason[0] != '\0');
    } else {
        check_environment(&from_pipe);
        check_against_whole(input, size, (size_t)read(ends[0], left, sizeof left));
        check_choice(&from_pipe);
    }
    close(ends[0]);
    return 0;
}
