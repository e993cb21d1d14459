/*
 * No stdio: this also runs in a copy of the user's program.
 */
#include "note.h"

#include <string.h>

static struct note note_of(const struct refusal *refused, const struct request *request,
                           const struct request_name *name, size_t count)
{
    struct note note = {.refused = refused, .count = count};

    names_show(note.name, name->text, name->length);
    request_trace(request, note.trace);
    return note;
}

struct note note_of_refusal(const struct refusal *refused, const struct request *request)
{
    return note_of(refused, request, &request->culprit, request->culprit.length != 0);
}

struct note note_of_request(const struct request *request)
{
    return note_of(NULL, request, &request->left_out, request->left_out_count);
}

static char *append(char *out, const char *end, const char *text)
{
    size_t length = strlen(text), room = (size_t)(end - out) - 1;

    if (length > room)
        length = room;
    memcpy(out, text, length);
    out[length] = '\0';
    return out + length;
}

bool note_write(const struct note *note, char line[NOTE_LINE_SIZE])
{
    const char *end = line + NOTE_LINE_SIZE;

    if (!note->refused && (note->count == 0 || strncmp(note->name, "HTTP_", strlen("HTTP_")) == 0))
        return false;
    line = append(line, end, note->refused ? "refused: " : "left out of the request: ");
    if (note->refused)
        line = append(line, end, note->refused->reason);
    if (note->refused && *note->name)
        line = append(line, end, ": ");
    line = append(line, end, note->name);
    if (note->count > 1)
        line = append(line, end, " and others");
    if (note->refused && *note->trace)
        append(append(line, end, "; trace "), end, note->trace);
    return true;
}
