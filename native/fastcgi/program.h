/*
 * A CGI program (RFC 3875): how one is started.
 *
 * Owns the steps between a request's environment and the program's first instruction. Must not
 * know of records, nor what becomes of the program's output.
 */
#ifndef SOCKETD_FCGI_PROGRAM_H
#define SOCKETD_FCGI_PROGRAM_H

#include "front/choice.h"
#include "front/executable.h"
#include "service.h"

/* Start the program that the service has; its means are a struct executable. */
starter program_start;

/* Start the program that the request names; the means are a struct rule. */
starter program_start_chosen;

/* Start one that has been chosen for the request. */
const struct refusal *program_start_at(const struct service *service, const struct choice *choice,
                                       struct request *request, bool has_body,
                                       struct backend *backend);

#endif
