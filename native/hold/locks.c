/*
 * A mutex of glibc that is recursive, or that checks for errors, has in it the id of the thread that
 * holds it. In a copy that is the id of its template. So the copy cannot unlock what it holds:
 * pthread_mutex_unlock() says EPERM, which hardly anybody looks at, and the next lock waits for ever.
 * SWI-Prolog holds such a lock of its input stream while it reads. A mutex of any other kind does not
 * ask who unlocks it.
 *
 * Nobody keeps a list of locks, so they are recognized where they stand: five words, each of which has one
 * or two values. One that is robust as well, or hands on its owner's priority, looks different and is not
 * found, nor are those of another libc.
 */
#include "locks.h"

#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__GLIBC__) && defined(__LP64__)

/* As <bits/struct_mutex.h> has it for 64-bit machines. */
struct mutex {
    uint32_t lock; /* 1, or 2 if somebody waits for it */
    uint32_t count;
    uint32_t owner;
    uint32_t users;
    uint32_t kind;
    uint32_t spins;
    uintptr_t list[2]; /* of robust ones */
};

_Static_assert(sizeof(struct mutex) <= sizeof(pthread_mutex_t), "behind it there may be room");

enum { WORDS = sizeof(struct mutex) / sizeof(uintptr_t) };

static struct mutex held; /* what all of them have alike: by whom they are held */
static bool is_held;

static UNCHECKED bool is_lock(const struct mutex *mutex)
{
    if ((mutex->lock != 1 && mutex->lock != 2) || mutex->list[0] || mutex->list[1])
        return false;
    return (mutex->kind == PTHREAD_MUTEX_RECURSIVE && mutex->count > 0) ||
           (mutex->kind == PTHREAD_MUTEX_ERRORCHECK && mutex->count == 0);
}

static UNCHECKED bool see(const struct survey_piece *piece)
{
    const size_t most = piece->count + piece->beyond;
    uintptr_t holder;

    memcpy(&holder, &held.owner, sizeof holder);
    for (size_t i = 0; i < piece->count && i + WORDS <= most; i++)
        if (piece->words[i + 1] == holder && is_lock((const struct mutex *)(piece->words + i))) {
            is_held = true;
            break;
        }
    return !is_held;
}

const struct survey_look *locks_begin(void)
{
    static const struct survey_look look = {.see = see};

    held = (struct mutex){.owner = (uint32_t)syscall(SYS_gettid), .users = 1};
    is_held = false;
    return &look;
}

const char *locks_obstacle(void)
{
    return is_held ? "it holds a mutex that its copies could not unlock" : NULL;
}

#else

const struct survey_look *locks_begin(void)
{
    return NULL;
}

const char *locks_obstacle(void)
{
    return NULL;
}

#endif
