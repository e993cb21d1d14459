/*
 * All of it static: in a worker only those pages are ever there that its request touches.
 */
#include "front.h"

#include "direct.h"
#include "exits.h"
#include "farewell.h"
#include "scgi.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FORESIGHT_MS = 10 }; /* whoever connects has something to say */

static struct request request;
static struct choice choice;
static char text[REQUEST_TEXT_SIZE];

static void send_whole(int connection, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t count = send(connection, bytes, size, MSG_NOSIGNAL);

        if (count < 0 && errno == ENOTSOCK)
            count = write(connection, bytes, size);
        if (count < 0 && errno != EINTR)
            return; /* the client is gone */
        if (count > 0) {
            bytes += count;
            size -= (size_t)count;
        }
    }
}

void front_tell(const struct front *front, const struct refusal *refusal)
{
    const struct note note = note_of_refusal(refusal, &request);

    front->note(front->keeper_of_notes, &note);
}

_Noreturn void front_refuse(const struct front *front, int out, const struct refusal *refusal)
{
    const struct note note = note_of_refusal(refusal, &request);
    char answer[REFUSAL_ANSWER_SIZE];

    if (!*refusal->status)
        _exit(0); /* there was no request */
    front->note(front->keeper_of_notes, &note);
    send_whole(out, answer, refusal_write(refusal, note.name, answer));
    farewell_say(out, &farewell_refused, NULL);
    _exit(EXIT_REFUSED);
}

const struct refusal *front_why_not_run(int error)
{
    static const struct refusal missing = {
        "404 Not Found", "the program, or the interpreter that it names, is not there"};
    static const struct refusal forbidden = {
        "403 Forbidden", "the program may not be run"};
    static const struct refusal too_large = {
        "431 Request Header Fields Too Large",
        "the variables of the request are more than the system passes to a program"};
    static const struct refusal broken = {
        "500 Internal Server Error", "the program could not be run"};

    switch (error) {
    case ELOOP:
    case ENAMETOOLONG:
    case ENOENT:
    case ENOTDIR:
        return &missing;
    case EACCES:
    case EPERM:
        return &forbidden;
    case E2BIG:
        return &too_large;
    default:
        return &broken;
    }
}

bool front_prepare(char *const service_entries[])
{
    return request_begin(&request, service_entries, NULL) == NULL;
}

static void tell_of_request(const struct front *front)
{
    const struct note note = note_of_request(&request);

    if (note.count || *note.trace)
        front->note(front->keeper_of_notes, &note);
}

bool front_hand_on(const struct front *front, int connection)
{
    bool is_handed_on;

    request.allowed_names = rule_names(&front->rule, front->allowed_names);
    request.head_limit = front->head_limit;
    is_handed_on = scgi_foresee(connection, FORESIGHT_MS, text, &request) &&
                   !choice_make(&front->rule, &request, &choice) &&
                   favourites_hand_on(&front->favourites, choice.path, connection);
    request_begin_again(&request);
    if (is_handed_on)
        close(connection);
    return is_handed_on;
}

/* A request has a name, by which its program and the log can say which one they mean. */
static const struct refusal *settle_name(const struct front *front)
{
    static const char name[] = "UNIQUE_ID";
    static char entry[sizeof name + FRONT_NAME_SIZE] = "UNIQUE_ID=";
    const char *given = request_find(&request, name);

    if (!front->settle_name)
        return NULL;
    front->settle_name(front->keeper_of_notes, given, entry + sizeof name);
    return given || !entry[sizeof name] ? NULL : request_put(&request, entry, sizeof name - 1);
}

struct front_request front_take(const struct front *front, int in, int out)
{
    struct front_request taken = {.entries = request.entries};
    const struct refusal *refused;
    sigset_t none, before;

    request.allowed_names = rule_names(&front->rule, front->allowed_names);
    request.head_limit = front->head_limit;
    sigemptyset(&none);
    direct_set_mask(&none, &before);
    refused = scgi_read(in, front->head_limit_ms, text, &request);
    if (!refused)
        refused = settle_name(front);
    if (!refused)
        refused = request_check_body(&request, front->body_limit);
    if (!refused)
        refused = request_complete(&request);
    if (!refused && rule_is_there(&front->rule)) {
        refused = choice_make(&front->rule, &request, &choice);
        taken.path = choice.path;
        taken.folder = choice.folder;
    }
    if (refused)
        front_refuse(front, out, refused);
    tell_of_request(front);
    direct_set_mask(&before, NULL);
    taken.own_entries = request.entries + request.own_count;
    taken.body_length = scgi_body_length(&request);
    return taken;
}
