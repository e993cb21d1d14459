/*
 * A clone calls nothing of what was registered for a fork. Yet it is how a library learns that its
 * process is another one: GnuTLS and the arc4random() of libbsd would go on with the numbers of the
 * template, and two connections have one key.
 *
 * So we stand before the function that pthread_atfork() of every object calls, and keep a list as libc
 * does; it still gets everything, for the forks that the program makes. The functions of an object that
 * is unloaded are forgotten: it calls __cxa_finalize() then, by its own destructor. In musl
 * pthread_atfork() is a function like any other, and nothing is ever unloaded.
 *
 * Those for the parent are not called: a template goes on with nothing. What is called before the
 * fork stays in force in it, for one copy after the other.
 */
#include "atfork.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define VISIBLE __attribute__((visibility("default")))
/* A constructor of another object calls it, before a library that checks memory has been set up. */
#define EARLY __attribute__((no_sanitize_address))

enum { MOST_HANDLERS = 256 };

typedef void handler(void);
#if defined(__GLIBC__)
typedef int register_function(handler *, handler *, handler *, void *);
typedef void finalize_function(void *);
#else
typedef int register_function(handler *, handler *, handler *);
#endif

/* By any thread, before there is a constructor of ours, and at no time moved. */
static struct handlers {
    handler *prepare;
    handler *child;
    void *object;
    atomic_bool is_set;
} list[MOST_HANDLERS];
static atomic_uint count;

static EARLY unsigned known(void)
{
    unsigned all = atomic_load(&count);

    return all < MOST_HANDLERS ? all : MOST_HANDLERS;
}

static EARLY void note(handler *prepare, handler *child, void *object)
{
    unsigned index = atomic_fetch_add(&count, 1);

    if (index >= MOST_HANDLERS)
        return;
    list[index].prepare = prepare;
    list[index].child = child;
    list[index].object = object;
    atomic_store(&list[index].is_set, true);
}

#if defined(__GLIBC__)

/* It has no header for these. */
VISIBLE register_function __register_atfork;
VISIBLE finalize_function __cxa_finalize;

static finalize_function *finalize; /* libc's, looked up once for all copies */

EARLY VISIBLE int __register_atfork(handler *prepare, handler *parent, handler *child, void *object)
{
    void *symbol = dlsym(RTLD_NEXT, "__register_atfork");
    register_function *next;

    note(prepare, child, object);
    memcpy(&next, &symbol, sizeof next);
    return next(prepare, parent, child, object);
}

static EARLY finalize_function *find_finalize(void)
{
    void *symbol = dlsym(RTLD_NEXT, "__cxa_finalize");
    finalize_function *found;

    memcpy(&found, &symbol, sizeof found);
    return found;
}

EARLY VISIBLE void __cxa_finalize(void *object)
{
    finalize_function *next = finalize ? finalize : find_finalize();

    for (unsigned i = 0; object && i < known(); i++)
        if (list[i].object == object)
            atomic_store(&list[i].is_set, false);
    next(object);
}

static void look_up(void)
{
    finalize = find_finalize();
}

#else

static void look_up(void)
{
}

EARLY VISIBLE int pthread_atfork(handler *prepare, handler *parent, handler *child)
{
    void *symbol = dlsym(RTLD_NEXT, "pthread_atfork");
    register_function *next;

    note(prepare, child, NULL);
    memcpy(&next, &symbol, sizeof next);
    return next(prepare, parent, child);
}

#endif

const char *atfork_obstacle(void)
{
    return atomic_load(&count) > MOST_HANDLERS ? "it has registered too many functions for a fork"
                                               : NULL;
}

void atfork_prepare(void)
{
    look_up();
    for (unsigned i = known(); i > 0; i--)
        if (atomic_load(&list[i - 1].is_set) && list[i - 1].prepare)
            list[i - 1].prepare();
}

void atfork_child(void)
{
    for (unsigned i = 0; i < known(); i++)
        if (atomic_load(&list[i].is_set) && list[i].child)
            list[i].child();
}
