/*
 * Fuzzes the look at the next request of a FastCGI connection before anything of it is taken.
 *
 * The input is what a web server has sent by then. Nothing of it may be gone after the look, and the
 * program that is found that way, if one is, has to be the one that the request leads to when it is read.
 * Nobody listens for copies, so no connection is ever handed on.
 */
#include "fastcgi/foresight.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 16 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static char *const service_entries[] = {"PATH=/bin", NULL};
static const struct rule rule = {.scripts = "/usr/bin,/etc/hostname", .indexes = "true"};
static const struct service service = {
    .name = "fuzz",
    .rule = &rule,
    .favourites = {.token = "0123456789abcdef0123456789abcdef"},
    .variables = service_entries,
    .head_limit = REQUEST_HEAD_MOST,
};

static void check(bool is_so)
{
    if (!is_so)
        abort();
}

/* Read the variables of the first request. Returns whether they are all there, and right. */
static bool read_request(struct bytes bytes, struct params *params)
{
    struct record_decoder decoder = {.head_size = 0};
    struct record record = {.type = 0};
    size_t length;

    params_begin(params, service_entries, NULL, REQUEST_HEAD_MOST);
    for (;;) {
        switch (record_next(&decoder, &bytes, &record)) {
        case RECORD_WANTS_BYTES:
        case RECORD_BROKEN:
            return false;
        case RECORD_BEGUN:
            break;
        case RECORD_CONTENT:
            length = record_content(&decoder, &bytes);
            if (record.type == RECORD_PARAMS)
                params_feed(params, (struct bytes){bytes.next, bytes.next + length});
            record_take(&decoder, &bytes, length);
            break;
        case RECORD_ENDED:
            if (record.type == RECORD_PARAMS && record.length == 0)
                return !params_end(params);
        }
    }
}

static void check_choice(const struct conversation *conversation, struct bytes bytes)
{
    static struct params params;
    static struct choice choice;

    if (!*conversation->choice.path || !read_request(bytes, &params))
        return;
    if (choice_make(&rule, &params.request, &choice))
        return; /* it was looked at only, and refused */
    check(strcmp(choice.path, conversation->choice.path) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static struct conversation conversation;
    static unsigned char left[MOST];
    int ends[2];

    if (size > MOST || size == 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return 0;
    check(write(ends[0], input, size) == (ssize_t)size);
    conversation.service = &service;
    conversation.choice.path[0] = '\0';
    check(!foresight_hand_on(&conversation, ends[1]));
    check(recv(ends[1], left, sizeof left, MSG_DONTWAIT) == (ssize_t)size);
    check(memcmp(left, input, size) == 0);
    check_choice(&conversation, (struct bytes){input, input + size});
    close(ends[0]);
    close(ends[1]);
    return 0;
}
