/*
 * The CGI program that tells what it has been given: each entry of its environment and a NUL, one
 * more NUL, then its standard input to the end.
 */
#include <stdio.h>
#include <unistd.h>

extern char **environ;

int main(void)
{
    char piece[4096];
    size_t size;

    for (char **entry = environ; *entry; entry++)
        printf("%s%c", *entry, '\0');
    putchar('\0');
    while ((size = fread(piece, 1, sizeof piece, stdin)) > 0)
        fwrite(piece, 1, size, stdout);
    return 0;
}
