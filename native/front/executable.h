/*
 * A program as a file to execute: where it is, in which folder it runs, what it is called with.
 *
 * Owns the way from a name to a file, and the exec. Must not know who waits for it.
 */
#ifndef SOCKETD_EXECUTABLE_H
#define SOCKETD_EXECUTABLE_H

#include <limits.h>
#include <stdbool.h>

/* What a CGI program finds other programs by, unless its service says otherwise. */
#define EXECUTABLE_SAFE_PATH "/usr/local/bin:/usr/bin:/bin"

struct executable {
    const char *path;
    const char *folder; /* to go to before, or NULL */
    const char *name;   /* what it is told to be called */
    char **words;       /* room for two, then its other arguments, then NULL */
};

/* Find a program as a shell would, and write its absolute path and folder. A name that is not
 * found is taken for a file in the current directory: running it says what is wrong. Returns
 * whether there was room. */
bool executable_find(const char *name, char path[PATH_MAX], char folder[PATH_MAX]);

/* Execute it in place of this process. Returns only if it cannot be, with errno set. Does nothing
 * but system calls, and writes to nothing but the room for two words. */
void executable_run(const struct executable *executable, char *const environment[]);

#endif
