/*
 * A number of bytes as the wrappers are told one.
 *
 * Owns the text form. Must not know what a number is for.
 */
#ifndef SOCKETD_BYTES_H
#define SOCKETD_BYTES_H

#include <stdbool.h>
#include <stdint.h>

/* Read a number from 1 on, of at most 18 digits. Returns whether it is that. */
bool bytes_parse(const char *text, uint64_t *bytes);

#endif
