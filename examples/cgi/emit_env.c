/* Answer with the environment of this request. cc -O2 -o emit-env emit_env.c */
#include <stdio.h>

extern char **environ;

int main(void)
{
    fputs("Content-Type: text/plain; charset=utf-8\r\n\r\n", stdout);
    for (char **entry = environ; *entry; entry++)
        puts(*entry);
    return fflush(stdout) == 0 ? 0 : 1;
}
