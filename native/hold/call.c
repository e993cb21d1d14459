/*
 * The call stands in two variables. A program must not see them, and a shell would hand them to
 * everything that it ever starts, so they leave the environment before main() runs. But as long as
 * the program is not held it may exec another one (a wrapper script does), which then is the one
 * to hold; exec.c puts them back for that.
 */
#include "call.h"

#include "initial.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char call_name[] = "SOCKETD_HOLD=";
static const char preload_name[] = "LD_PRELOAD=";

extern char **environ;

struct call call;
/* As they were, for an exec; not where the kernel shows them. */
static char *call_entry;
static char *preload_entry;

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static int digit_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

static bool decode(const char *text, struct first_call *first)
{
    unsigned char *bytes = (unsigned char *)first;

    if (strlen(text) != 2 * sizeof *first)
        return false;
    for (size_t i = 0; i < sizeof *first; i++) {
        int high = digit_value(text[2 * i]), low = digit_value(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        bytes[i] = (unsigned char)(high << 4 | low);
    }
    return first->magic == FIRST_CALL_MAGIC && first->level >= LEVEL_LOAD &&
           first->level <= LEVEL_STOP;
}

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

static char *put_aside(const char *entry)
{
    char *copy = strdup(entry);

    if (!copy)
        abort();
    return copy;
}

/* Put back what LD_PRELOAD was before, in the place where it was. The master has put the two last. */
static void hide(char *call_place, char *preload_place)
{
    char *colon = strchr(preload_entry, ':'), **to = environ;

    for (char **from = environ; *from; from++)
        if (*from != call_place && (*from != preload_place || colon))
            *to++ = *from;
    *to = NULL;
    initial_remove(call_place);
    if (colon)
        initial_replace(preload_place, colon + 1);
    else
        initial_remove(preload_place);
}

bool call_take(void)
{
    char *call_place = NULL, *preload_place = NULL;

    for (char **entry = environ; entry && *entry; entry++) {
        if (starts_with(*entry, call_name))
            call_place = *entry;
        if (starts_with(*entry, preload_name))
            preload_place = *entry;
    }
    if (!call_place || !preload_place)
        return false;
    call_entry = put_aside(call_place);
    preload_entry = put_aside(preload_place);
    hide(call_place, preload_place);
    call.process = getpid();
    find_keeper(preload_entry + strlen(preload_name));
    call.is_open =
        decode(call_entry + strlen(call_name), &call.first) && getppid() == call.first.master;
    return call.is_open;
}

bool call_is_waiting(void)
{
    return call.is_open && getpid() == call.process;
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
