/*
 * A program may own its environment: perl frees one that is not where it was at the start, and
 * bash keeps its variables elsewhere and brings its own setenv(). So as long as `environ` is the
 * array that main() was given, the entries go behind its last one; for that there is room. If the
 * program has put another in its place, setenv() knows how to extend that. And a setenv() of the
 * program's own is called in any case: it is the way to its variables.
 */
#include "variables.h"

#include "environment.h"
#include "shortcuts.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

typedef int set_function(const char *, const char *, int);

static char **original_array;
static set_function *own_set; /* of the program */

void variables_make_room(size_t more)
{
    struct environment roomy;
    void *usual = dlsym(RTLD_NEXT, "setenv");
    void *first = dlsym(RTLD_DEFAULT, "setenv");

    if (!environment_init(&roomy, environ, more))
        return; /* setenv() will do */
    environ = original_array = roomy.entries;
    if (first != usual)
        memcpy(&own_set, &first, sizeof own_set);
}

static char **find_end(char **array)
{
    while (*array)
        array++;
    return array;
}

void variables_touch(void)
{
    if (environ && environ == original_array)
        shortcuts_touch(find_end(environ), sizeof *environ);
}

/* Where the entry stands may be written to, and holds a name for as long as the call takes. */
static void set(set_function *function, char *entry)
{
    char *equals = entry + strcspn(entry, "=");

    *equals = '\0';
    function(entry, equals + 1, 1);
    *equals = '=';
}

void variables_add(char *const entries[])
{
    if (environ && environ == original_array) {
        char **end = find_end(environ);

        for (size_t i = 0; entries[i]; i++)
            *end++ = entries[i];
        *end = NULL;
    } else if (!own_set) {
        for (size_t i = 0; entries[i]; i++)
            set(setenv, entries[i]);
    }
    for (size_t i = 0; own_set && entries[i]; i++) {
        set(own_set, entries[i]);
        /* bash marks a variable as exported once it has set it, and looks whether what it sets is
         * exported: the last one is set again. */
        if (!entries[i + 1])
            set(own_set, entries[i]);
    }
}
