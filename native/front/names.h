/*
 * Which variables a request may set: by name, since what they hold is the program's affair.
 *
 * Owns the names that are stopped, those of the standard, and what the operator's list means. Pure:
 * must not know how a request has come, nor what is done with it.
 *
 * A list of what is stopped is never complete. The other way round is a list of what may come, from
 * the operator: names, beginnings of names with an asterisk behind them, "standard" for those of
 * RFC 3875, "usual" for all that come without a list, with commas in between.
 */
#ifndef SOCKETD_NAMES_H
#define SOCKETD_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#define NAMES_STANDARD "standard"
#define NAMES_USUAL "usual"

enum { NAMES_LIST_SIZE = 4096, NAMES_SHOWN_SIZE = 64 };

enum names_verdict {
    NAMES_TAKEN,
    NAMES_LEFT_OUT,
    NAMES_FORBIDDEN, /* left out as well, and the operator is told */
};

/*
 * Say what becomes of a variable with this name, which is plain; nothing else is looked at. `list` is
 * the operator's, or NULL for all names. What carries the request out is always taken; HTTP_PROXY never,
 * a client's header that many HTTP libraries take for a setting (CVE-2016-5385). A name that stands
 * in the list itself is taken even if it is one of those that are stopped otherwise: somebody has
 * meant it.
 */
enum names_verdict names_judge(const char *list, const char *name, size_t length);

/* Write a name as it may be shown to people: its beginning, with a question mark in place of what is
 * no printable character. It need not be one that is plain. */
void names_show(char shown[NAMES_SHOWN_SIZE], const char *name, size_t length);

/* Has it only letters, digits and _ - . in it, and no digit first? */
bool names_is_plain(const char *name, size_t length);

/* Is it one that loaders, shells or interpreters act on? */
bool names_is_forbidden(const char *name, size_t length);

/* Is it one of RFC 3875, or a header's? */
bool names_is_standard(const char *name, size_t length);

/* Is it a list as names_judge() takes it? */
bool names_is_list(const char *list);

#endif
