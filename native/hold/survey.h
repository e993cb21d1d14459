/*
 * All of the memory of this process, gone through once for everything that is looked for in it.
 *
 * Owns which memory that is, and how it is read. Must not know what is looked for.
 */
#ifndef SOCKETD_SURVEY_H
#define SOCKETD_SURVEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of the whole memory, as of the stack of others, the address sanitizer does not know what may be read. */
#define UNCHECKED __attribute__((no_sanitize_address))

/* Words that stand one behind another. */
struct survey_piece {
    const uintptr_t *words;
    size_t count;
    size_t beyond;   /* more words follow, which may be read; they are shown as well */
    uintptr_t begin; /* where they stand, or stood when they were copied */
    bool is_stack;   /* of this thread */
};

/* One thing that is looked for. Nothing of it may be in a variable that outlives the survey, or it
 * would be found there. */
struct survey_look {
    /* Look at a piece. Returns whether any more of them are of use. */
    bool (*see)(const struct survey_piece *piece);
    /* Hear of a mapping that may only be read, and is not gone through; or NULL. */
    void (*pass_by)(uintptr_t begin, uintptr_t end);
};

enum { SURVEY_LOOKS = 2 };

/* Show all memory that may be written to and is shared with nobody to each look that is not NULL. Of the
 * stack only what the caller has is shown, and those that it returns to: so it has to be a function that
 * goes on in copies. To be called as long as /proc/self can be opened. Returns NULL, or why not all could
 * be shown. */
const char *survey_memory(const struct survey_look *const looks[SURVEY_LOOKS]);

#endif
