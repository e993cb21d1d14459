/*
 * Only what is in memory is looked at, or was and is swapped out: the rest is as it was in its file, or
 * zero, and to read it would make page tables that each fork has to copy. What may not be loaded, as
 * it is behind a guard or a protection key, is read through /proc/self/mem, where that fails if it
 * has to. What is shared with other processes is left out: a copy would share it in any case.
 *
 * Pages that follow one another are put together, so that nothing is missed that lies across two of
 * them.
 */
#include "survey.h"

#include "mappings.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    ENTRIES = 512,
    SMALLEST_PAGE = 4096,
    PIECE_WORDS = 16 * 1024, /* so much stays near the processor until all looks have seen it */
};
/* Memory that may be written to, whether it is there or not; each page of it costs a few bytes to be
 * read of what is there. */
static const uint64_t most_bytes = UINT64_C(16) << 30;

/* Of pagemap, proc_pid_pagemap(5). */
static const uint64_t is_present = UINT64_C(1) << 63, is_swapped = UINT64_C(1) << 62;

static const char cannot_be_searched[] = "its memory cannot be searched";

struct survey {
    const struct survey_look *looks[SURVEY_LOOKS]; /* NULL: it has seen enough */
    int pagemap, memory;
    uintptr_t page_size;
    uintptr_t stack; /* of the functions that will return; what is below is over */
    bool is_stack;   /* the mapping that is looked at has it */
    enum { UNKNOWN, NO, YES } is_loaded;
    uintptr_t run_begin, run_end; /* pages to be shown together */
    const char *trouble;
};

static bool is_over(const struct survey *survey)
{
    for (size_t i = 0; i < SURVEY_LOOKS; i++)
        if (survey->looks[i])
            return survey->trouble != NULL;
    return true;
}

static void show(struct survey *survey, const uintptr_t *words, size_t size, uintptr_t begin)
{
    const size_t all = size / sizeof *words;
    size_t next = survey->is_stack && begin < survey->stack
                      ? (survey->stack - begin) / sizeof *words
                      : 0;

    while (next < all && !is_over(survey)) {
        const size_t count = all - next < PIECE_WORDS ? all - next : PIECE_WORDS;
        const struct survey_piece piece = {words + next, count, all - next - count,
                                           begin + next * sizeof *words, survey->is_stack};

        for (size_t i = 0; i < SURVEY_LOOKS; i++)
            if (survey->looks[i] && !survey->looks[i]->see(&piece))
                survey->looks[i] = NULL;
        next += count;
    }
}

static void show_run(struct survey *survey)
{
    if (survey->run_begin < survey->run_end)
        show(survey, (const uintptr_t *)survey->run_begin, survey->run_end - survey->run_begin,
             survey->run_begin);
    survey->run_begin = survey->run_end = 0;
}

static void add_to_run(struct survey *survey, uintptr_t page)
{
    if (page != survey->run_end) {
        show_run(survey);
        survey->run_begin = page;
    }
    survey->run_end = page + survey->page_size;
}

static void read_page(struct survey *survey, uintptr_t page)
{
    /* In a frame that is over when copies are made. */
    uintptr_t words[SMALLEST_PAGE / sizeof(uintptr_t)];

    for (uintptr_t at = page; at < page + survey->page_size; at += SMALLEST_PAGE) {
        ssize_t count = pread(survey->memory, words, sizeof words, (off_t)at);

        if (count > 0)
            show(survey, words, (size_t)count, at);
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
        add_to_run(survey, page);
    else
        read_page(survey, page);
}

static void look_at_mapping(struct survey *survey, uintptr_t begin, uintptr_t end)
{
    const bool is_stack = begin <= survey->stack && survey->stack < end;
    uint64_t entries[ENTRIES];

    if (survey->is_stack || is_stack)
        show_run(survey);
    survey->is_loaded = UNKNOWN;
    survey->is_stack = is_stack;
    if (is_stack)
        begin = survey->stack / survey->page_size * survey->page_size;
    while (begin < end && !is_over(survey)) {
        const uintptr_t page_count = (end - begin) / survey->page_size;
        const size_t wanted = page_count < ENTRIES ? page_count : ENTRIES;
        const off_t offset = (off_t)(begin / survey->page_size * sizeof *entries);

        if (pread(survey->pagemap, entries, wanted * sizeof *entries, offset) !=
            (ssize_t)(wanted * sizeof *entries)) {
            survey->trouble = cannot_be_searched;
            return;
        }
        for (size_t i = 0; i < wanted && !is_over(survey); i++, begin += survey->page_size)
            look_at_page(survey, begin, entries[i]);
    }
}

static bool is_program_s(uint64_t size)
{
#ifdef __SANITIZE_ADDRESS__
    /* What the library reserves for its notes and for a heap: terabytes, most of them never used. */
    return size < UINT64_C(1) << 30;
#else
    (void)size;
    return true;
#endif
}

static void pass_by(const struct survey *survey, uintptr_t begin, uintptr_t end)
{
    for (size_t i = 0; i < SURVEY_LOOKS; i++)
        if (survey->looks[i] && survey->looks[i]->pass_by)
            survey->looks[i]->pass_by(begin, end);
}

static void look_at(struct survey *survey, const struct mapping *mapping, uint64_t *bytes)
{
    const uint64_t size = mapping->end - mapping->begin;

    if (strncmp(mapping->rights, "r--", 3) == 0)
        pass_by(survey, mapping->begin, mapping->end);
    if (strncmp(mapping->rights, "rw", 2) != 0 || mapping->rights[3] != 'p' || !is_program_s(size))
        return;
    *bytes += size;
    if (*bytes > most_bytes)
        survey->trouble = "it has too much memory to be searched";
    else
        look_at_mapping(survey, mapping->begin, mapping->end);
}

static void look_everywhere(struct survey *survey, struct mappings *mappings)
{
    struct mapping mapping;
    uint64_t bytes = 0;

    while (!is_over(survey) && mappings_next(mappings, &mapping))
        look_at(survey, &mapping, &bytes);
    show_run(survey);
    if (mappings->has_failed)
        survey->trouble = cannot_be_searched;
}

__attribute__((noinline)) const char *
survey_memory(const struct survey_look *const looks[SURVEY_LOOKS])
{
    struct survey survey = {
        .pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC),
        .memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC),
        .page_size = (uintptr_t)getpagesize(),
        .stack = (uintptr_t)__builtin_frame_address(0),
    };

    struct mappings mappings;

    memcpy(survey.looks, looks, sizeof survey.looks);
    if (!mappings_open(&mappings) || survey.pagemap < 0 || survey.memory < 0)
        survey.trouble = cannot_be_searched;
    else
        look_everywhere(&survey, &mappings);
    mappings_close(&mappings);
    close(survey.pagemap);
    close(survey.memory);
    return survey.trouble;
}
