/*
 * libc keeps the id of a thread in memory, and has the kernel clear a word when the thread ends, for
 * who waits for it. In glibc up to 2.42 that is the same word, and the kernel tells where it is. Since
 * 2.43 they are two. Where the id is then says the table that glibc has for debuggers. In musl they
 * are two as well, there is no table, and the id is among the first words of what describes the thread.
 *
 * A clone has the kernel clear the word that the new id is written to; and there are no mutexes left
 * whose other users are to be told when their owner dies (set_robust_list(2)).
 */
#include "thread.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static pid_t *cleared; /* the word, if it is not the id */
static void *robust_list;
static size_t robust_size;

static bool is_id(const pid_t *place)
{
    return place && *place == (pid_t)syscall(SYS_gettid);
}

#if defined(__GLIBC__)

/* As in nptl_db: how many bits a field has, how many of them there are, and where it begins. */
enum { BITS, COUNT, OFFSET };

static pid_t *look_up(void)
{
    const uint32_t *field = dlvsym(RTLD_DEFAULT, "_thread_db_pthread_tid", "GLIBC_PRIVATE");

    if (!field || field[BITS] != 8 * sizeof(pid_t) || field[COUNT] != 1)
        return NULL;
    return (pid_t *)((char *)pthread_self() + field[OFFSET]);
}

#else

/* Behind pointers and the canary; with 64-bit pointers there are eight words at most before it. */
enum { WORDS = 16 };

static pid_t *look_up(void)
{
    pid_t *found = NULL;

    for (pid_t *place = (pid_t *)pthread_self(), *end = place + WORDS; place < end; place++) {
        if (!is_id(place))
            continue;
        if (found)
            return NULL; /* a half of something else looks like it */
        found = place;
    }
    return found;
}

#endif

pid_t *thread_find_id(void)
{
    pid_t *place = NULL;

    if (syscall(SYS_get_robust_list, 0, &robust_list, &robust_size) < 0)
        robust_list = NULL;
    if (prctl(PR_GET_TID_ADDRESS, &place) < 0)
        return NULL;
    if (is_id(place))
        return place;
    cleared = place;
    place = look_up();
    return is_id(place) ? place : NULL;
}

void thread_renew(void)
{
    if (cleared)
        syscall(SYS_set_tid_address, cleared);
    if (robust_list)
        syscall(SYS_set_robust_list, robust_list, robust_size);
}
