/*
 * A folder of CGI programs, of which the path of a request names one.
 *
 * Owns the way from the path to a file below the folder. Must not know how a request has come, nor
 * how a program is run.
 *
 * The path is PATH_INFO, or SCRIPT_NAME where that is empty, or DOCUMENT_URI. It leads through folders
 * to the program; SCRIPT_NAME becomes what leads to it, PATH_INFO what is behind it. A web server that
 * has found the program itself says so by a SCRIPT_FILENAME below the folder: then both stay.
 */
#ifndef SOCKETD_ROOT_H
#define SOCKETD_ROOT_H

#include "choice.h"

const struct refusal *root_choose(const struct rule *rule, struct request *request,
                                  struct choice *choice);

#endif
