/*
 * The call stands in two variables. A program must not see them, and a shell would hand them to
 * everything that it ever starts, so they leave the environment before main() runs. But as long as
 * the program is not held it may exec another one (a wrapper script does), which then is the one
 * to hold; exec.c puts them back for that.
 */
#include "call.h"

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
