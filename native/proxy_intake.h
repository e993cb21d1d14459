/*
 * Taking a header of the PROXY protocol off a connection.
 *
 * Owns how many bytes are taken: those of the header, and never one behind it, which is the program's.
 * Must not know what is in a header, nor what follows if there is none.
 */
#ifndef SOCKETD_PROXY_INTAKE_H
#define SOCKETD_PROXY_INTAKE_H

#include "proxy.h"

struct proxy_intake {
    size_t count;
    uint8_t bytes[PROXY_MOST];
};

/* Take what has come, without waiting. PROXY_MORE: the header is not whole, and may be called for
 * again. A client that has gone, or has sent half of a header, has sent none. */
enum proxy_verdict proxy_take(struct proxy_intake *intake, struct proxy_header *header,
                              int connection);

/* Take all of it. PROXY_MORE: it was not there in time. */
enum proxy_verdict proxy_take_within(struct proxy_intake *intake, struct proxy_header *header,
                                     int connection, uint32_t limit_ms);

#endif
