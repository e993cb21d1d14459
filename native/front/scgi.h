/*
 * The head of an SCGI request (https://python.ca/scgi/protocol.txt): a netstring of variables.
 *
 * Owns the reading, the time limit and the form. Reads exactly the head and never a byte of the
 * body, which is the program's. Must not know what the variables mean beyond CONTENT_LENGTH and
 * SCGI, nor what becomes of the request.
 */
#ifndef SOCKETD_SCGI_H
#define SOCKETD_SCGI_H

#include "request.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Read a head from a descriptor, a socket or a pipe, within `limit_ms`, and add its variables to
 * the request. The request's entries point into `text` afterwards. Returns NULL, or why it is
 * refused; a peer that has closed without a word is refused with an empty status: there is no client
 * to answer.
 */
const struct refusal *scgi_read(int fd, int limit_ms, char text[REQUEST_TEXT_SIZE],
                                struct request *request);

enum { SCGI_FORESEEN_SIZE = 16 * 1024 };

/* Do the same without taking anything off a socket, within `limit_ms`. Returns whether the head is
 * there, whole and right, and not larger than SCGI_FORESEEN_SIZE. */
bool scgi_foresee(int fd, int limit_ms, char text[REQUEST_TEXT_SIZE], struct request *request);

/* A CONTENT_LENGTH that no body has: who passes a request on whose body has no length says so, and ends
 * the body by ending its sending. The program gets an empty CONTENT_LENGTH, as from a web server. */
#define SCGI_NO_LENGTH "999999999999999999"

/* Return the length of the body of a request that has been read. */
uint64_t scgi_body_length(struct request *request);

/* The same for a head that has arrived whole: `text` holds the netstring's content, `length` bytes
 * of it. */
const struct refusal *scgi_parse(char text[REQUEST_TEXT_SIZE], size_t length,
                                 struct request *request);

#endif
