/*
 * A folder of CGI programs, of which the path of a request names one.
 *
 * Owns the way from the path to a file below the folder. Must not know how a request has come, nor
 * how a program is run.
 *
 * The path is PATH_INFO, or SCRIPT_NAME where that is empty, or DOCUMENT_URI. Its first component
 * names the program; SCRIPT_NAME becomes what leads to it, PATH_INFO what is behind it.
 */
#ifndef SOCKETD_ROOT_H
#define SOCKETD_ROOT_H

#include "request.h"

#include <limits.h>

struct root_choice {
    char path[PATH_MAX];   /* of the program, absolute */
    char folder[PATH_MAX]; /* its own, which RFC 3875, section 7.2, wants as working directory */
    char text[REQUEST_TEXT_SIZE]; /* of the variables that were rewritten */
};

/* Choose the program for a request. `root` is absolute. Returns NULL, or a refusal: 404 if there is
 * no such file, 403 if it is nothing to run or not below the folder. */
const struct refusal *root_choose(const char *root, struct request *request,
                                  struct root_choice *choice);

#endif
