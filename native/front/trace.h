/*
 * W3C Trace Context: what a traceparent is (https://www.w3.org/TR/trace-context/, section 3.2).
 *
 * Owns its grammar. Must not know where one stands, nor what becomes of it.
 */
#ifndef SOCKETD_TRACE_H
#define SOCKETD_TRACE_H

#include <stdbool.h>

enum {
    TRACE_ID_AT = 3, /* in a traceparent */
    TRACE_ID_LENGTH = 32,
    TRACE_PARENT_LENGTH = 55, /* what each version begins with; a later one may say more behind it */
};

bool trace_is_parent(const char *text);

#endif
