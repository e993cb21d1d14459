/*
 * The answer to GET_VALUES (FastCGI 1.0, section 4.1): what a web server may ask about us.
 *
 * Owns the names that are known and their values. Does no input or output.
 */
#ifndef SOCKETD_VALUES_H
#define SOCKETD_VALUES_H

#include "pairs.h"

enum {
    VALUES_COUNT = 3,
    VALUES_NAME_SIZE = 16, /* the longest is FCGI_MPXS_CONNS */
    VALUES_ANSWER_SIZE = 64,
};

/* All zero at the start of a question. */
struct values {
    struct pairs_decoder pairs;
    size_t name_length;
    char name[VALUES_NAME_SIZE];
    bool are_asked[VALUES_COUNT];
};

/* Take all of these bytes of the question. Names that are not known are left out of the answer. */
void values_feed(struct values *values, struct bytes bytes);

/* Write the answer's pairs. Returns their length. */
size_t values_write(const struct values *values, unsigned char answer[VALUES_ANSWER_SIZE]);

#endif
