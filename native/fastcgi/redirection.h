/*
 * Answers that send the client elsewhere (RFC 3875, sections 6.2.2 and 6.2.3).
 *
 * Owns which of them lack a status. Does no input or output.
 *
 * A Location without a Status means 302. nginx, lighttpd and HAProxy know that; Apache and Caddy pass
 * the answer on as 200, which no client follows. With a status all of them do the same. A Location
 * without a host asks the web server to answer with what is there; by FastCGI none of them does, so
 * the client is sent there, too.
 */
#ifndef SOCKETD_REDIRECTION_H
#define SOCKETD_REDIRECTION_H

#include <stdbool.h>
#include <stddef.h>

/* The line that such an answer lacks. */
#define REDIRECTION_STATUS "Status: 302 Found\r\n"

enum { REDIRECTION_STATUS_SIZE = sizeof REDIRECTION_STATUS - 1 };

/* Tell whether a head of whole lines has a Location and no Status. */
bool redirection_lacks_status(const unsigned char *head, size_t size);

#endif
