/*
 * What the web server has said: FastCGI records, and how much of them is sent.
 *
 * Owns the bytes, and tells the answers what can be answered of what has been sent. Must not know
 * why anything is said.
 */
#ifndef SOCKETD_FUZZ_SAID_H
#define SOCKETD_FUZZ_SAID_H

#include <stdbool.h>
#include <stddef.h>

void said_begin(void);

/* Say bytes; what does not fit is cut off. */
void said_add(const void *bytes, size_t length);

/* Say the head of a record. */
void said_head(unsigned type, unsigned id, size_t length, unsigned padding);

/* Say a whole record; `padding` is at most 255. */
void said_record(unsigned type, unsigned id, const void *content, size_t length, unsigned padding);

/* Tell whether anything was cut off. */
bool said_is_cut(void);

/* Tell whether there is more to send. */
bool said_is_left(void);

/* Send what is left, or a `piece` of it unless that is 0. Returns false if there is no room. */
bool said_send(int fd, size_t piece);

#endif
