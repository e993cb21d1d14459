/*
 * What must come of a request that is carried out and that nobody disturbs.
 *
 * Owns the way from a plan to its outcome. Must not know how it is carried out.
 */
#ifndef SOCKETD_FUZZ_OUTCOME_H
#define SOCKETD_FUZZ_OUTCOME_H

#include "plan.h"

#include <stdbool.h>

struct stream {
    uint64_t hash;
    size_t length;
};

struct outcome {
    struct stream answer;
    struct stream complaint; /* of the program */
    unsigned status;
    bool is_refused; /* there is no program */
    bool is_endless; /* unless somebody ends it */
    bool has_report; /* a line of ours comes behind the complaint */
};

/* Add bytes to a stream. */
void stream_add(struct stream *stream, const void *bytes, size_t length);

/* Follow a plan as a program does, or as a pool. */
struct outcome outcome_of(const uint8_t *plan, size_t steps, bool is_pool, const unsigned char *body,
                          size_t length);

#endif
