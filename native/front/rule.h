/*
 * What an operator allows requests to say about which program is theirs.
 *
 * Owns its form, as text and as options of a command line. Pure: must not know how a program is
 * found, nor whether there are such files.
 */
#ifndef SOCKETD_RULE_H
#define SOCKETD_RULE_H

#include <stdbool.h>

/* At most one of the first two is there; without them a service has one program. */
struct rule {
    const char *root;    /* a folder, absolute, below which the path of a request names the program */
    const char *scripts; /* folders and files, absolute, with commas: what a request may name */
    const char *indexes; /* names of programs that stand for their folder, with commas; or NULL */
};

static inline bool rule_is_there(const struct rule *rule)
{
    return rule->root || rule->scripts;
}

/* Return the list of names that requests may set; `list` is the operator's, or NULL. */
const char *rule_names(const struct rule *rule, const char *list);

/* Take an option of a command line that is about the rule. Returns whether it is; `*complaint` says what
 * is wrong with its value, or is NULL. */
bool rule_take_option(struct rule *rule, const char *name, const char *value,
                        const char **complaint);

/* Tell whether a text has what struct rule wants of `scripts`, or of `indexes`. */
bool rule_is_list_of_paths(const char *list);
bool rule_is_list_of_names(const char *list);

#endif
