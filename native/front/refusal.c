/*
 * No stdio: this also runs in a copy of the user's program.
 */
#include "refusal.h"

#include <string.h>

enum { DECIMAL_SIZE = sizeof "18446744073709551615" };

static char *append(char *out, const char *end, const char *text)
{
    size_t length = strlen(text);

    if (length > (size_t)(end - out))
        length = (size_t)(end - out);
    memcpy(out, text, length);
    return out + length;
}

static const char *format_size(char text[DECIMAL_SIZE], size_t number)
{
    char *digit = text + DECIMAL_SIZE - 1;

    *digit = '\0';
    do
        *--digit = (char)('0' + number % 10);
    while (number /= 10);
    return digit;
}

size_t refusal_write(const struct refusal *refusal, const char *about,
                     char answer[REFUSAL_ANSWER_SIZE])
{
    const char *separator = *about ? ": " : "";
    const char *end = answer + REFUSAL_ANSWER_SIZE;
    char length[DECIMAL_SIZE];
    char *out = answer;

    out = append(out, end, "Status: ");
    out = append(out, end, refusal->status);
    out = append(out, end, "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ");
    out = append(out, end,
                 format_size(length, strlen(refusal->reason) + strlen(separator) + strlen(about) + 1));
    out = append(out, end, "\r\n\r\n");
    out = append(out, end, refusal->reason);
    out = append(out, end, separator);
    out = append(out, end, about);
    out = append(out, end, "\n");
    return (size_t)(out - answer);
}
