/*
 * Name-value pairs (FastCGI 1.0, section 3.4), as PARAMS and GET_VALUES carry them.
 *
 * Owns their lengths and where a pair may be cut: anywhere. Keeps no name and no value, does no
 * input or output, and must not know what the names mean.
 */
#ifndef SOCKETD_PAIRS_H
#define SOCKETD_PAIRS_H

#include "record.h"

#include <stdbool.h>
#include <stddef.h>

/* All zero at the start. */
struct pairs_decoder {
    enum { PAIRS_IN_LENGTHS, PAIRS_IN_NAME, PAIRS_IN_VALUE } place;
    unsigned char lengths[8];
    size_t lengths_size;
    size_t name_left;
    size_t value_left;
};

enum pairs_event {
    PAIRS_WANT_BYTES,
    PAIRS_BEGUN, /* the lengths are known, in name_left and value_left */
    PAIRS_NAME,  /* a piece of the name */
    PAIRS_VALUE, /* a piece of the value */
    PAIRS_ENDED, /* the pair is complete */
};

/* Take bytes up to the next event; a piece is what `piece` holds afterwards. */
enum pairs_event pairs_next(struct pairs_decoder *decoder, struct bytes *bytes,
                            struct bytes *piece);

/* Tell whether the bytes so far end with a whole pair. */
bool pairs_are_whole(const struct pairs_decoder *decoder);

#endif
