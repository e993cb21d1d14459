/*
 * The environment of the program.
 *
 * Owns the names of the variables that describe a connection, and the space for them. Must not
 * know sockets, nor when the program starts.
 */
#ifndef SOCKETD_ENVIRONMENT_H
#define SOCKETD_ENVIRONMENT_H

#include "address.h"
#include "admission.h"
#include "proxy.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/* The longest is IPCREMOTEPATH with a path of full length. */
enum { ENVIRONMENT_VARIABLES = 13, ENVIRONMENT_VARIABLE_SIZE = 128 };
/* With those that a rule adds, see admission.h, and a proxy. */
enum { ENVIRONMENT_MOST = ENVIRONMENT_VARIABLES + ADMISSION_VARIABLES + PROXY_VARIABLES };

struct environment {
    char **entries; /* the base, then the variables of the connection, then NULL */
    size_t count;
    char variables[ENVIRONMENT_VARIABLES][ENVIRONMENT_VARIABLE_SIZE];
    size_t used;
};

/* Take over a base that names no connection variable, with room for `more` entries behind it. False
 * when there is no memory for it. */
bool environment_init(struct environment *environment, char **base, size_t more);

/* Is it the name of one of the variables that are appended here? */
bool environment_is_of_connection(const char *name);

/* Append the variables of a TCP connection, IPv4 or IPv6. Allocates nothing. */
void environment_add_tcp(struct environment *environment, const struct address *local,
                         const struct address *peer);

/* Append the variables of a UNIX connection. Allocates nothing. */
void environment_add_unix(struct environment *environment, const struct address *local,
                          const struct address *peer, const struct ucred *credentials);

/* Append where a proxy has come from that has a client of its own. Allocates nothing. */
void environment_add_proxy(struct environment *environment, const struct address *proxy);

/* Append what the connection is called. Allocates nothing. */
void environment_add_identity(struct environment *environment, const char *identity);

/* Append a variable of somebody else, which has to stay where it is. */
void environment_add_text(struct environment *environment, const char *text);

#endif
