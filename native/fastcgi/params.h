/*
 * The variables of a request, from its PARAMS stream.
 *
 * Owns their text. Does no input or output. The rules for names are those of
 * struct request.
 */
#ifndef SOCKETD_PARAMS_H
#define SOCKETD_PARAMS_H

#include "front/request.h"
#include "pairs.h"

struct params {
    struct request request; /* its entries point into `text` */
    struct pairs_decoder pairs;
    const struct refusal *refused;
    size_t used;        /* of the text, by whole entries */
    size_t entry_size;  /* of the entry that is being written behind them */
    size_t name_length; /* of that entry */
    char text[REQUEST_TEXT_SIZE];
};

/* Begin a request with the variables that the service sets; see request_begin(). */
void params_begin(struct params *params, char *const service_entries[], const char *allowed_names,
                  size_t head_limit);

/* Take all of these bytes of the stream. What comes after a refusal is dropped. */
void params_feed(struct params *params, struct bytes bytes);

/* The stream has ended: return why the request is refused, or NULL. */
const struct refusal *params_end(struct params *params);

#endif
