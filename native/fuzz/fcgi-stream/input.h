/*
 * The input of the fuzzer as a row of choices: what a byte means depends on what came before.
 *
 * Owns the place in it. Behind its end every choice is zero, so that each input means something.
 */
#ifndef SOCKETD_FUZZ_INPUT_H
#define SOCKETD_FUZZ_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct input {
    const uint8_t *next;
    const uint8_t *end;
};

static inline bool input_is_over(const struct input *input)
{
    return input->next == input->end;
}

static inline unsigned input_byte(struct input *input)
{
    return input_is_over(input) ? 0 : *input->next++;
}

/* A length: mostly small, now and then more than any buffer holds. */
static inline size_t input_length(struct input *input)
{
    static const size_t scales[] = {1, 1, 1, 1, 16, 256};
    unsigned scale = input_byte(input);

    return input_byte(input) * scales[scale % (sizeof scales / sizeof *scales)] + scale / 128;
}

#endif
