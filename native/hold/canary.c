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
 * Only what is in memory is looked at, or was and is swapped out: the rest is as it was in its file, or
 * zero, and to read it would make page tables that each fork has to copy. What may not be loaded, as
 * it is behind a guard or a protection key, is read through /proc/self/mem, where that fails if it
 * has to. What is shared with other processes is left out: a stack there would be shared by copies in
 * any case.
 *
 * The pointer guard, by which libc hides the addresses in a jmp_buf and in its list for exit(), stays:
 * what was hidden with it would lead to nowhere.
 */
#include "canary.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__LP64__) && (defined(__x86_64__) || defined(__aarch64__))

/* Of the whole memory, as of the stack of others, the address sanitizer does not know what may be read. */
#define UNCHECKED __attribute__((no_sanitize_address))
/* What changes the canary would find it changed at its own end. */
#if defined(__has_attribute)
#if __has_attribute(no_stack_protector)
#define UNPROTECTED UNCHECKED __attribute__((noinline, no_stack_protector))
#endif
#endif
#ifndef UNPROTECTED
#define UNPROTECTED UNCHECKED __attribute__((noinline, optimize("no-stack-protector")))
#endif

enum { MOST_PLACES = 512, ENTRIES = 512, LONGEST_LINE = 4096 + 128, SMALLEST_PAGE = 4096 };
/* Memory that may be written to, whether it is there or not; each page of it costs a few bytes to be
 * read of what is there. */
static const uint64_t most_bytes = UINT64_C(16) << 30;

/* Of pagemap, proc_pid_pagemap(5). */
static const uint64_t is_present = UINT64_C(1) << 63, is_swapped = UINT64_C(1) << 62;

/* In musl on each machine, in glibc where the thread has no place for it. */
extern uintptr_t __stack_chk_guard __attribute__((weak));

/* Empty unless every place is known. What the canary is stands in no variable, which would be one. */
static uintptr_t *places[MOST_PLACES];
static size_t place_count;
static bool is_guard_sealed; /* the loader has it where nothing may be written to */

struct survey {
    int maps, pagemap, memory;
    uintptr_t page_size;
    uintptr_t stack; /* of the functions that will return; what is below is over */
    bool is_stack;   /* the mapping that is looked at has it */
    enum { UNKNOWN, NO, YES } is_loaded;
    const char *trouble;
};

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

static void note(struct survey *survey, uintptr_t *place)
{
    if (place_count == MOST_PLACES)
        survey->trouble = "too many functions on its stack have it";
    else
        places[place_count++] = place;
}

/* `begin` is where the words stand, or stood when they were copied. */
static UNCHECKED void look_at_words(struct survey *survey, const uintptr_t *words, size_t size,
                                    uintptr_t begin)
{
    const uintptr_t canary = *find_guard();

    for (size_t i = 0; i < size / sizeof *words && !survey->trouble; i++) {
        uintptr_t *place = (uintptr_t *)begin + i;

        if (words[i] != canary || (survey->is_stack && (uintptr_t)place < survey->stack))
            continue;
        if (survey->is_stack || place == find_thread_place() || place == &__stack_chk_guard)
            note(survey, place);
        else
            survey->trouble = "its memory has it in a place that is not known";
    }
}

static void read_page(struct survey *survey, uintptr_t page)
{
    /* In a frame that is over when copies are made. */
    uintptr_t words[SMALLEST_PAGE / sizeof(uintptr_t)];

    for (uintptr_t at = page; at < page + survey->page_size; at += SMALLEST_PAGE) {
        ssize_t count = pread(survey->memory, words, sizeof words, (off_t)at);

        look_at_words(survey, words, count < 0 ? 0 : (size_t)count, at);
    }
}

/* The kernel reads before it sees that nothing like that can be done to a mask of signals. */
static bool may_load(uintptr_t page)
{
    return syscall(SYS_rt_sigprocmask, -1, page, NULL, sizeof(uint64_t)) == 0 || errno != EFAULT;
}

static void look_at_page(struct survey *survey, uintptr_t page, uint64_t entry)
{
    if (!(entry & (is_present | is_swapped)))
        return;
    /* One answer is enough: it is the mapping that has the protection key. */
    if (entry & is_present && survey->is_loaded == UNKNOWN)
        survey->is_loaded = may_load(page) ? YES : NO;
    if (entry & is_present && survey->is_loaded == YES)
        look_at_words(survey, (const uintptr_t *)page, survey->page_size, page);
    else
        read_page(survey, page);
}

static void look_at_mapping(struct survey *survey, uintptr_t begin, uintptr_t end)
{
    uint64_t entries[ENTRIES];

    survey->is_loaded = UNKNOWN;
    survey->is_stack = begin <= survey->stack && survey->stack < end;
    if (survey->is_stack)
        begin = survey->stack / survey->page_size * survey->page_size;
    while (begin < end && !survey->trouble) {
        const uintptr_t page_count = (end - begin) / survey->page_size;
        const size_t wanted = page_count < ENTRIES ? page_count : ENTRIES;
        const off_t offset = (off_t)(begin / survey->page_size * sizeof *entries);

        if (pread(survey->pagemap, entries, wanted * sizeof *entries, offset) !=
            (ssize_t)(wanted * sizeof *entries)) {
            survey->trouble = "its memory cannot be searched";
            return;
        }
        for (size_t i = 0; i < wanted && !survey->trouble; i++, begin += survey->page_size)
            look_at_page(survey, begin, entries[i]);
    }
}

static const char *read_number(const char *text, char end, uintptr_t *number)
{
    for (*number = 0; *text != end; text++) {
        if (*text >= '0' && *text <= '9')
            *number = *number * 16 + (uintptr_t)(*text - '0');
        else if (*text >= 'a' && *text <= 'f')
            *number = *number * 16 + (uintptr_t)(*text - 'a' + 10);
        else
            return NULL;
    }
    return text + 1;
}

static bool may_have_stack(uint64_t size)
{
#ifdef __SANITIZE_ADDRESS__
    /* What the library reserves for its notes and for a heap: terabytes, most of them never used. */
    return size < UINT64_C(1) << 30;
#else
    (void)size;
    return true;
#endif
}

static void look_at_line(struct survey *survey, const char *line, uint64_t *bytes)
{
    const uintptr_t guard = (uintptr_t)&__stack_chk_guard;
    uintptr_t begin, end;

    line = read_number(line, '-', &begin);
    line = line ? read_number(line, ' ', &end) : NULL;
    if (!line) {
        survey->trouble = "its memory cannot be searched";
        return;
    }
    if (strncmp(line, "r--", 3) == 0 && begin <= guard && guard < end && find_guard() == (void *)guard)
        is_guard_sealed = true;
    if (strncmp(line, "rw", 2) != 0 || line[3] != 'p' || !may_have_stack(end - begin))
        return;
    *bytes += end - begin;
    if (*bytes > most_bytes)
        survey->trouble = "it has too much memory to be searched";
    else
        look_at_mapping(survey, begin, end);
}

static void look_everywhere(struct survey *survey)
{
    char text[LONGEST_LINE];
    size_t filled = 0;
    uint64_t bytes = 0;
    ssize_t count = 0;

    while (!survey->trouble &&
           (count = read(survey->maps, text + filled, sizeof text - 1 - filled)) > 0) {
        char *line = text, *end;

        filled += (size_t)count;
        text[filled] = '\0';
        for (; (end = strchr(line, '\n')) && !survey->trouble; line = end + 1)
            look_at_line(survey, line, &bytes);
        filled -= (size_t)(line - text);
        memmove(text, line, filled);
    }
    if (!survey->trouble && (count < 0 || filled))
        survey->trouble = "its memory cannot be searched";
}

__attribute__((noinline)) const char *canary_find(void)
{
    struct survey survey = {
        .maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC),
        .pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC),
        .memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC),
        .page_size = (uintptr_t)getpagesize(),
        .stack = (uintptr_t)__builtin_frame_address(0),
    };

    place_count = 0;
    if (survey.maps < 0 || survey.pagemap < 0 || survey.memory < 0)
        survey.trouble = "its memory cannot be searched";
    else
        look_everywhere(&survey);
    if (is_guard_sealed)
        note(&survey, find_guard());
    if (!survey.trouble && place_count == 0)
        survey.trouble = "it is not where it should be";
    if (survey.trouble)
        place_count = 0;
    close(survey.maps);
    close(survey.pagemap);
    close(survey.memory);
    return survey.trouble;
}

static bool seal_guard(int protection)
{
    const uintptr_t size = (uintptr_t)getpagesize();

    return !is_guard_sealed ||
           mprotect((void *)((uintptr_t)find_guard() / size * size), size, protection) == 0;
}

UNPROTECTED void canary_renew(void)
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
const char *canary_find(void)
{
    return "it is not known where this machine has it";
}

void canary_renew(void)
{
}

#endif
