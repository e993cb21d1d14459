/*
 * A pool whose front understands SCGI, to which requests are passed on.
 *
 * Owns its address, the connection's beginning and the head of an SCGI request
 * (https://python.ca/scgi/protocol.txt). Must not know of records.
 */
#ifndef SOCKETD_POOL_H
#define SOCKETD_POOL_H

#include "fastcgi/service.h"

#include <sys/socket.h>

/* Where an SCGI head has room for all variables, its length in front and our two. */
enum { POOL_HEAD_SIZE = REQUEST_TEXT_SIZE + 128 };

struct pool {
    struct sockaddr_storage address;
    socklen_t address_size;
};

/* Read unix:PATH or tcp:HOST:PORT, where a host is a number, in brackets for IPv6, or localhost.
 * Returns what is wrong with it, or NULL. */
const char *pool_parse(struct pool *pool, const char *text);

/* Write the head of a request: without the variables of the service, the pool has its own. Returns
 * its length, which is 0 if there is no room. */
size_t pool_write_head(const struct request *request, bool has_body, char head[POOL_HEAD_SIZE]);

/* Connect, which may take a few seconds if the pool is full, and begin with the head. The means of the
 * service are a struct pool. */
starter pool_start;

#endif
