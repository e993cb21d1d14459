/*
 * The header of the PROXY protocol, versions 1 and 2, by which a proxy says whose connection it has made.
 *
 * Owns the form of a header. Must not know who is believed, nor where bytes come from. The same rules
 * stand in socketd/admission/proxy_header.py, and a test holds the two against each other.
 */
#ifndef SOCKETD_PROXY_H
#define SOCKETD_PROXY_H

#include "address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PROXY_MOST = 8192,        /* bytes of a header: a client certificate is the longest thing in one */
    PROXY_VALUE_MOST = 255,   /* bytes of a variable's value */
    PROXY_VARIABLE_SIZE = 288 /* with its name and a NUL */
};

/* Variables that a program gets of what a header says. */
enum proxy_variable {
    PROXY_UNIQUE_ID,
    PROXY_SERVER_NAME,
    PROXY_SSL_PROTOCOL,
    PROXY_SSL_CIPHER,
    PROXY_SSL_CLIENT,
    PROXY_VARIABLES
};

enum proxy_verdict {
    PROXY_MORE,  /* all bytes so far are of a header, and it goes on */
    PROXY_WHOLE, /* the header has `size` bytes */
    PROXY_WRONG, /* it is none */
};

struct proxy_header {
    size_t size;
    /* Else it is about no other connection than the one that it came by: a proxy asks whether we are
     * there, or does not know who its client is. */
    bool has_ends;
    struct address source;
    struct address destination;
    char variables[PROXY_VARIABLES][PROXY_VARIABLE_SIZE]; /* NAME=VALUE; empty: there is none */
};

/* The names of the variables, in order. */
extern const char *const proxy_variable_names[PROXY_VARIABLES];

/* Read the first `count` bytes of a connection, as many as have come. Only PROXY_WHOLE fills the
 * header. */
enum proxy_verdict proxy_parse(struct proxy_header *header, const uint8_t *bytes, size_t count);

#endif
