/* A CGI program that moves bytes: "?SIZE" of an answer, or a body, of which it tells the size. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char buffer[1 << 16];

static void answer(long left)
{
    memset(buffer, 'x', sizeof buffer);
    while (left > 0) {
        size_t size = left < (long)sizeof buffer ? (size_t)left : sizeof buffer;
        ssize_t done = write(1, buffer, size);

        if (done <= 0)
            exit(1);
        left -= done;
    }
}

int main(void)
{
    const char *query = getenv("QUERY_STRING"), *length = getenv("CONTENT_LENGTH");
    long wanted = length ? atol(length) : 0, taken = 0;
    ssize_t size;

    while (taken < wanted && (size = read(0, buffer, sizeof buffer)) > 0)
        taken += size;
    printf("Content-Type: application/octet-stream\r\n\r\n");
    if (taken)
        printf("%ld\n", taken);
    fflush(stdout);
    if (!taken && query)
        answer(atol(query));
    return 0;
}
