#include "seconds.h"

#include <stddef.h>
#include <string.h>

enum { MOST_DIGITS = 5, MOST_DECIMALS = 3 };

static int read_number(const char *text, size_t length)
{
    int number = 0;

    while (length-- > 0)
        number = number * 10 + (*text++ - '0');
    return number;
}

bool seconds_parse(const char *text, int *milliseconds)
{
    static const char digits[] = "0123456789";
    size_t whole = strspn(text, digits), decimals = 0;
    const char *rest = text + whole;
    int scale = 1000;

    if (*rest == '.')
        decimals = strspn(++rest, digits);
    if (whole == 0 || whole > MOST_DIGITS || decimals > MOST_DECIMALS || rest[decimals] ||
        (rest != text + whole && decimals == 0))
        return false;
    *milliseconds = read_number(text, whole) * scale;
    for (size_t i = 0; i < decimals; i++) {
        scale /= 10;
        *milliseconds += (rest[i] - '0') * scale;
    }
    return *milliseconds > 0 && *milliseconds <= MOST_SECONDS * 1000;
}
