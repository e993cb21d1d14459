/*
 * Which program a request is for, where that is for the request to say.
 *
 * Owns the look at a file and the variables that follow from it. In which variables a request names
 * its program is known to root.c and scripts.c. Must not know how a request has come, nor how a
 * program is run.
 */
#ifndef SOCKETD_CHOICE_H
#define SOCKETD_CHOICE_H

#include "request.h"
#include "rule.h"

#include <limits.h>
#include <sys/stat.h>

struct choice {
    char path[PATH_MAX]; /* of the program, absolute */
    const char *folder;  /* to run it in; NULL: where the service is */
    char folder_text[PATH_MAX];
    char text[REQUEST_TEXT_SIZE]; /* of variables that were rewritten */
    size_t text_size;
};

/* Choose the program for a request. Returns NULL, or a refusal: 404 if there is no such file, 403 if
 * it is nothing to run or nowhere where a program may be. */
const struct refusal *choice_make(const struct rule *rule, struct request *request,
                                  struct choice *choice);

/* For those who choose. */

/* Why a file cannot be looked at, by its error number. */
const struct refusal *choice_why_not_found(int error);

/* Put the first index that there is behind choice->path, which is a folder with a slash at its end.
 * Returns its name, of `*length` bytes; NULL if there is none. */
const char *choice_find_index(const char *indexes, struct choice *choice, size_t *length);

/* Look whether a file may be run by us. */
const struct refusal *choice_check_program(const struct stat *file, const char *path);

/* Note that the program runs in its own folder (RFC 3875, section 7.2). */
void choice_run_in_own_folder(struct choice *choice);

/* Put NAME=ab into the request, where a and b are parts of texts. */
const struct refusal *choice_rewrite(struct request *request, struct choice *choice,
                                     const char *name, struct request_name a,
                                     struct request_name b);

#endif
