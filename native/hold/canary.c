/*
 * A function with a buffer puts the canary behind it, and looks whether it is still there before it
 * returns. A fork copies it: who may overflow one copy after another learns it byte by byte, because a
 * byte that was guessed wrong ends the copy, and one that was right does not. So each copy has its
 * own. What the functions to return into have on the stack has to change with it, or the program
 * would be ended when it returns.
 *
 * Before main() there is nothing on the stack that has one, with the loaders of today: that of glibc
 * looks at it in one function that catches errors, that of musl nowhere. At the first read all the
 * functions are there in which the program waits. In either case the places are looked for, once, in
 * the template: 7 random bytes turn up nowhere by chance. A place is known if it is on the present
 * stack, or the one where libc keeps the canary. If there is any other, there is a second stack, of
 * a coroutine that will go on one day, or a piece of one that was put aside, and who knows in which
 * form another piece was. Then every copy keeps the canary of its template, and the master is told.
 *
 * The pointer guard, by which libc hides the addresses in a jmp_buf and in its list for exit(), stays:
 * what was hidden with it would lead to nowhere.
 */
#include "canary.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__LP64__) && (defined(__x86_64__) || defined(__aarch64__))

enum { MOST_PLACES = 512 };

/* In musl on each machine, in glibc where the thread has no place for it. */
extern uintptr_t __stack_chk_guard __attribute__((weak));

/* Empty unless every place is known. What the canary is stands in no variable, which would be one. */
static uintptr_t *places[MOST_PLACES];
static size_t place_count;
static bool is_guard_sealed; /* the loader has it where nothing may be written to */
static const char *trouble; /* why they are not known */

#if defined(__x86_64__)

static uintptr_t *find_thread_place(void)
{
    unsigned char *thread;

    __asm__("movq %%fs:0, %0" : "=r"(thread));
    return (uintptr_t *)(thread + 0x28);
}

static uintptr_t *find_guard(void)
{
    return find_thread_place();
}

#else

static uintptr_t *find_thread_place(void)
{
    return NULL;
}

static uintptr_t *find_guard(void)
{
    return &__stack_chk_guard;
}

#endif

static void note(uintptr_t *place)
{
    if (place_count == MOST_PLACES)
        trouble = "too many functions on its stack have it";
    else
        places[place_count++] = place;
}

/* It has the canary at hand, so it has to be a frame that is over afterwards. */
static UNCHECKED __attribute__((noinline)) bool see(const struct survey_piece *piece)
{
    const uintptr_t canary = *find_guard();

    for (size_t i = 0; i < piece->count; i++) {
        uintptr_t *place = (uintptr_t *)piece->begin + i;

        if (piece->words[i] != canary)
            continue;
        if (piece->is_stack || place == find_thread_place() || place == &__stack_chk_guard)
            note(place);
        else
            trouble = "its memory has it in a place that is not known";
        if (trouble)
            break;
    }
    return !trouble;
}

static void pass_by(uintptr_t begin, uintptr_t end)
{
    const uintptr_t guard = (uintptr_t)&__stack_chk_guard;

    if (begin <= guard && guard < end && find_guard() == (void *)guard)
        is_guard_sealed = true;
}

const struct survey_look *canary_begin(void)
{
    static const struct survey_look look = {.see = see, .pass_by = pass_by};

    place_count = 0;
    trouble = NULL;
    return &look;
}

const char *canary_settle(const char *survey_trouble)
{
    if (is_guard_sealed)
        note(find_guard());
    if (!trouble)
        trouble = survey_trouble;
    if (!trouble && place_count == 0)
        trouble = "it is not where it should be";
    if (trouble)
        place_count = 0;
    return trouble;
}

static bool seal_guard(int protection)
{
    const uintptr_t size = (uintptr_t)getpagesize();

    return !is_guard_sealed ||
           mprotect((void *)((uintptr_t)find_guard() / size * size), size, protection) == 0;
}

UNCHECKED UNPROTECTED void canary_renew(void)
{
    const uintptr_t old = *find_guard();
    const unsigned char *old_bytes = (const unsigned char *)&old;
    union {
        uintptr_t word;
        unsigned char bytes[sizeof(uintptr_t)];
    } fresh;

    if (place_count == 0 ||
        syscall(SYS_getrandom, &fresh, sizeof fresh, GRND_NONBLOCK) != sizeof fresh ||
        !seal_guard(PROT_READ | PROT_WRITE))
        return;
    /* One byte ends a string that is read or written too far: the first, with musl the second. */
    fresh.bytes[old_bytes[0] ? 1 : 0] = 0;
    for (size_t i = 0; i < place_count; i++)
        if (*places[i] == old)
            *(volatile uintptr_t *)places[i] = fresh.word;
    seal_guard(PROT_READ);
}

#else

/* Not known here. */
const struct survey_look *canary_begin(void)
{
    return NULL;
}

const char *canary_settle(const char *survey_trouble)
{
    (void)survey_trouble;
    return "it is not known where this machine has it";
}

void canary_renew(void)
{
}

#endif
