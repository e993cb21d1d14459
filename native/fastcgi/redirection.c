#include "redirection.h"

#include <string.h>
#include <strings.h>

enum { STATUS, LOCATION, OTHER, NO_HEADER };

static bool is_named(const unsigned char *line, size_t size, const char *name)
{
    const size_t length = strlen(name);

    return size > length && line[length] == ':' &&
           strncasecmp((const char *)line, name, length) == 0;
}

static int kind_of(const unsigned char *line, size_t size)
{
    if (!memchr(line, ':', size))
        return NO_HEADER;
    if (is_named(line, size, "Status"))
        return STATUS;
    return is_named(line, size, "Location") ? LOCATION : OTHER;
}

bool redirection_lacks_status(const unsigned char *head, size_t size)
{
    bool has_location = false;
    const unsigned char *end;

    for (; (end = memchr(head, '\n', size)); size -= (size_t)(end + 1 - head), head = end + 1) {
        const size_t length = (size_t)(end - head);
        int kind;

        if (length == 0 || (length == 1 && *head == '\r'))
            return has_location;
        kind = kind_of(head, length);
        if (kind == STATUS || kind == NO_HEADER) /* a status line of HTTP, or nothing of a head */
            return false;
        has_location = has_location || kind == LOCATION;
    }
    return false; /* the end of the head is not here */
}
