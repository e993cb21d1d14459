#include "trace.h"

#include <stddef.h>
#include <string.h>

static bool is_id(const char *text, size_t length)
{
    return strspn(text, "0") < length;
}

bool trace_is_parent(const char *text)
{
    static const unsigned char lengths[] = {2, TRACE_ID_LENGTH, 16, 2};
    const size_t count = sizeof lengths / sizeof *lengths;
    const char *at = text;

    for (size_t i = 0; i < count; i++) {
        if (i > 0 && *at++ != '-')
            return false;
        if (strspn(at, "0123456789abcdef") != lengths[i])
            return false;
        if ((i == 1 || i == 2) && !is_id(at, lengths[i]))
            return false;
        at += lengths[i];
    }
    if (strncmp(text, "ff", 2) == 0)
        return false;
    return *at == '\0' || (*at == '-' && strncmp(text, "00", 2) != 0);
}
