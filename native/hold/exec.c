/*
 * The exec family, as long as the program waits to be held: what it execs instead of itself is
 * then the one to hold, and needs the call in its environment. At any other time, and in any child,
 * these are what they replace.
 *
 * Space is taken from the stack: a child of vfork() may not touch the heap.
 */
#include "call.h"

#include <alloca.h>
#include <dlfcn.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

#define VISIBLE __attribute__((visibility("default")))

typedef int search_function(const char *, char *const[], char *const[]);

/* A macro, because alloca() ends with its function. */
#define WITH_CALL(base)                                                                            \
    (call_space(base) ? call_add((base), alloca(call_space(base))) : (char **)(base))

VISIBLE int execve(const char *path, char *const arguments[], char *const environment[])
{
    return (int)syscall(SYS_execve, path, arguments, WITH_CALL(environment));
}

VISIBLE int execv(const char *path, char *const arguments[])
{
    return (int)syscall(SYS_execve, path, arguments, WITH_CALL(environ));
}

VISIBLE int fexecve(int fd, char *const arguments[], char *const environment[])
{
    return (int)syscall(SYS_execveat, fd, "", arguments, WITH_CALL(environment), 0x1000);
}

VISIBLE int execvpe(const char *file, char *const arguments[], char *const environment[])
{
    search_function *search = (search_function *)dlsym(RTLD_NEXT, "execvpe");

    return search(file, arguments, WITH_CALL(environment));
}

VISIBLE int execvp(const char *file, char *const arguments[])
{
    return execvpe(file, arguments, environ);
}

static size_t count_words(va_list words)
{
    size_t count = 1;

    while (va_arg(words, char *))
        count++;
    return count;
}

/* Collect a list of arguments into `words`, which lives on the stack of the caller. */
#define COLLECT(first, list)                                                                       \
    va_start(list, first);                                                                         \
    count = count_words(list);                                                                     \
    va_end(list);                                                                                  \
    words = alloca((count + 1) * sizeof *words);                                                   \
    words[0] = (char *)(first);                                                                    \
    va_start(list, first);                                                                         \
    for (size_t i = 1; i <= count; i++)                                                            \
        words[i] = va_arg(list, char *)

VISIBLE int execl(const char *path, const char *first, ...)
{
    char **words;
    size_t count;
    va_list list;

    COLLECT(first, list);
    va_end(list);
    return execve(path, words, environ);
}

VISIBLE int execlp(const char *file, const char *first, ...)
{
    char **words;
    size_t count;
    va_list list;

    COLLECT(first, list);
    va_end(list);
    return execvpe(file, words, environ);
}

VISIBLE int execle(const char *path, const char *first, ...)
{
    char **words;
    char **environment;
    size_t count;
    va_list list;

    COLLECT(first, list);
    environment = va_arg(list, char **);
    va_end(list);
    return execve(path, words, environment);
}
