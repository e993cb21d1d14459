#include "bytes.h"

#include <string.h>

enum { MOST_DIGITS = 18 }; /* fit in 64 bits */

bool bytes_parse(const char *text, uint64_t *bytes)
{
    size_t digits = strspn(text, "0123456789");

    if (digits == 0 || digits > MOST_DIGITS || text[digits] != '\0')
        return false;
    *bytes = 0;
    for (; *text; text++)
        *bytes = *bytes * 10 + (uint64_t)(*text - '0');
    return *bytes > 0;
}
