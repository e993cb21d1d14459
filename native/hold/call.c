/*
 * The call stands in two variables. A program must not see them, and a shell would hand them to
 * everything that it ever starts, so they leave the environment before main() runs. But as long as
 * the program is not held it may exec another one (a wrapper script does), which then is the one
 * to hold; exec.c puts them back for that.
 */
#include "call.h"

#include "front/names.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char call_name[] = "SOCKETD_HOLD=";
static const char preload_name[] = "LD_PRELOAD=";

extern char **environ;

struct call call;
/* In the strings that the process was started with: they stay where they are. */
static char *call_entry;
static char *preload_entry;

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* In memory of our own: the program may write over the strings that it was started with, to show
 * another title. Returns where they end, or NULL if they are none. */
static char *take_names(char *text)
{
    static char names[NAMES_LIST_SIZE];
    size_t length = strcspn(text, ":");

    if (length >= sizeof names)
        return NULL;
    memcpy(names, text, length);
    if (length > 0 && !names_is_list(names))
        return NULL;
    call.allowed_names = length > 0 ? names : NULL;
    return text + length;
}

static bool parse(const char *text)
{
    static const char *const names[] = {"load:", "read:", "stop:"};
    char *end;

    for (enum level level = LEVEL_LOAD; level <= LEVEL_STOP; level++)
        if (starts_with(text, names[level - LEVEL_LOAD]))
            call.level = level;
    if (call.level == LEVEL_NONE)
        return false;
    call.master = (pid_t)strtol(text + strlen("load:"), &end, 10);
    if (*end != ':')
        return false;
    call.signal = (int)strtol(end + 1, &end, 10);
    if (*end != ':')
        return false;
    call.head_limit_ms = (int)strtol(end + 1, &end, 10);
    if (*end != ':')
        return false;
    call.linger_ms = (int)strtol(end + 1, &end, 10);
    if (*end != ':')
        return false;
    end = take_names(end + 1);
    if (!end || *end != ':')
        return false;
    call.log_inode = strtoul(end + 1, &end, 10);
    if (*end == '\0')
        return true;
    call.has_cpu_limit = true;
    call.cpu_limit.rlim_cur = strtoull(end + 1, &end, 10);
    if (*end != ':')
        return false;
    call.cpu_limit.rlim_max = strtoull(end + 1, &end, 10);
    return *end == '\0';
}

/* Now, because a program may write over its own strings. */
static void find_keeper(const char *object)
{
    static const char name[] = "/socketd-zygote";
    size_t length = strcspn(object, ":");

    while (length > 0 && object[length] != '/')
        length--;
    if (length + sizeof name > sizeof call.keeper)
        return;
    memcpy(call.keeper, object, length);
    memcpy(call.keeper + length, name, sizeof name);
}

/* Put back what LD_PRELOAD was before, in the place where it was. */
static void hide(void)
{
    char **to = environ;

    for (char **from = environ; *from; from++) {
        if (*from == call_entry)
            continue;
        if (*from == preload_entry) {
            char *colon = strchr(*from, ':');

            if (!colon)
                continue;
            /* The value moves in a copy: the entry as it was is wanted for an exec. */
            *to = malloc(strlen(preload_name) + strlen(colon + 1) + 1);
            if (!*to)
                abort();
            strcpy(stpcpy(*to++, preload_name), colon + 1);
            continue;
        }
        *to++ = *from;
    }
    *to = NULL;
}

bool call_take(void)
{
    for (char **entry = environ; entry && *entry; entry++) {
        if (starts_with(*entry, call_name))
            call_entry = *entry;
        if (starts_with(*entry, preload_name))
            preload_entry = *entry;
    }
    if (!call_entry || !preload_entry)
        return false;
    hide();
    call.process = getpid();
    find_keeper(preload_entry + strlen(preload_name));
    if (!parse(call_entry + strlen(call_name)) || getppid() != call.master) {
        call.level = LEVEL_NONE;
        return false;
    }
    return true;
}

bool call_is_waiting(void)
{
    return call.level != LEVEL_NONE && getpid() == call.process;
}

static size_t count_entries(char *const base[])
{
    size_t count = 0;

    while (base && base[count])
        count++;
    return count;
}

static const char *find_preload(char *const base[])
{
    for (size_t i = 0; base && base[i]; i++)
        if (starts_with(base[i], preload_name))
            return base[i] + strlen(preload_name);
    return NULL;
}

size_t call_space(char *const base[])
{
    const char *own = find_preload(base);

    if (!call_is_waiting())
        return 0;
    return (count_entries(base) + 3) * sizeof *base + strlen(preload_entry) + 2 +
           (own ? strlen(own) : 0);
}

char **call_add(char *const base[], void *space)
{
    size_t count = count_entries(base), used = 0;
    char **entries = space;
    char *text = (char *)(entries + count + 3);
    const char *own = find_preload(base);

    for (size_t i = 0; i < count; i++)
        if (!starts_with(base[i], preload_name))
            entries[used++] = base[i];
        else if (own && base[i] + strlen(preload_name) == own)
            entries[used++] = text; /* in its place */
    if (!own)
        entries[used++] = text;
    entries[used++] = call_entry;
    entries[used] = NULL;
    /* The object's own path, then what the program wants. */
    text = mempcpy(text, preload_entry, strcspn(preload_entry, ":"));
    if (own) {
        *text++ = ':';
        text = stpcpy(text, own);
    }
    *text = '\0';
    return entries;
}
