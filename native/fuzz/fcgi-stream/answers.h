/*
 * What comes back over the connection: whether it is FastCGI, and what it should be.
 *
 * Owns the reading of the answer, with a decoder of its own: that of the wrapper is on trial. Knows
 * of what was said only which requests have begun, and what is expected of some.
 */
#ifndef SOCKETD_FUZZ_ANSWERS_H
#define SOCKETD_FUZZ_ANSWERS_H

#include "outcome.h"

/* Forget all. `has_streams` is whether the complaints of programs come as records. */
void answers_begin(bool has_complaints);

/* A record that begins a request, or that asks about the connection, is being sent. */
void answers_note_begin(unsigned request_id);
void answers_note_question(void);

/* Have the outcomes of requests compared, in their order, from here on or no longer. */
void answers_expect(struct outcome outcome);
void answers_expect_nothing(void);

/* Read on. */
void answers_take(const unsigned char *bytes, size_t length);

/* Return how many requests have begun that are not answered yet. */
unsigned answers_outstanding(void);

/* The connection is at its end. Where nobody has broken it, every record is whole. */
void answers_end(bool is_broken);

#endif
