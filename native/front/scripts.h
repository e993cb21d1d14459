/*
 * Programs that a request names by the path of their file, below folders that the operator allows.
 *
 * Owns the way from variables to a file, as fcgiwrap has it. Must not know how a request has come,
 * nor how a program is run.
 *
 * The file is SCRIPT_FILENAME, or without that DOCUMENT_ROOT and SCRIPT_NAME behind it. What is not
 * there is shortened at its last slash until it is; that becomes PATH_INFO. FCGI_CHDIR is the folder
 * to run it in, "-" for none in particular.
 */
#ifndef SOCKETD_SCRIPTS_H
#define SOCKETD_SCRIPTS_H

#include "choice.h"

const struct refusal *scripts_choose(const struct rule *rule, struct request *request,
                                     struct choice *choice);

#endif
