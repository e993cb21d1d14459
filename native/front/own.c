#include "own.h"

#include "executable.h"

#include <stdbool.h>
#include <string.h>

extern char **environ;

static bool is_named(const char *entry, const char *name, size_t length)
{
    return strncmp(entry, name, length) == 0 && entry[length] == '=';
}

static const char *put(struct own *own, char *entry)
{
    size_t length = strcspn(entry, "=");

    for (size_t i = 0; i < own->count; i++)
        if (is_named(own->entries[i], entry, length)) {
            own->entries[i] = entry;
            return NULL;
        }
    if (own->count == OWN_VARIABLES)
        return "--env: too many variables";
    own->entries[own->count++] = entry;
    return NULL;
}

const char *own_add(struct own *own, char *text)
{
    size_t length = strcspn(text, "=");

    if (length == 0)
        return "--env: not NAME=VALUE or NAME";
    if (text[length] == '=')
        return put(own, text);
    for (char **entry = environ; *entry; entry++)
        if (is_named(*entry, text, length))
            return put(own, *entry);
    return "--env: no value, and none in the environment";
}

const char *own_add_prefixed(struct own *own, const char *prefix)
{
    size_t length = strlen(prefix);
    const char *complaint = NULL;

    if (length == 0)
        return "--env-prefix: empty";
    for (char **entry = environ; *entry && !complaint; entry++)
        if (strncmp(*entry, prefix, length) == 0 && strcspn(*entry + length, "=") > 0)
            complaint = put(own, *entry + length);
    return complaint;
}

const char *own_complete(struct own *own)
{
    static char safe[] = "PATH=" EXECUTABLE_SAFE_PATH;

    for (size_t i = 0; i < own->count; i++)
        if (is_named(own->entries[i], "PATH", strlen("PATH")))
            return NULL;
    return put(own, safe);
}
