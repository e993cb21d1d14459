#include "rule.h"

#include "names.h"

#include <limits.h>
#include <stddef.h>
#include <string.h>

/* git-http-backend(1) has the web server say with each request what is served and whether. Who may
 * name the program may say that, too. */
const char *rule_names(const struct rule *rule, const char *list)
{
    return !list && rule->scripts ? NAMES_USUAL ",GIT_PROJECT_ROOT,GIT_HTTP_EXPORT_ALL" : list;
}

static bool is_list(const char *list, bool (*is_entry)(const char *, size_t))
{
    for (;;) {
        size_t length = strcspn(list, ",");

        if (!is_entry(list, length))
            return false;
        if (list[length] == '\0')
            return true;
        list += length + 1;
    }
}

static bool is_path(const char *entry, size_t length)
{
    return length > 0 && length < PATH_MAX && *entry == '/';
}

static bool is_name(const char *entry, size_t length)
{
    return length > 0 && length <= NAME_MAX && *entry != '.' && !memchr(entry, '/', length);
}

bool rule_is_list_of_paths(const char *list)
{
    return is_list(list, is_path);
}

bool rule_is_list_of_names(const char *list)
{
    return is_list(list, is_name);
}

bool rule_take_option(struct rule *rule, const char *name, const char *value,
                        const char **complaint)
{
    *complaint = NULL;
    if (strcmp(name, "--root") == 0) {
        rule->root = value;
        if (*value != '/')
            *complaint = "--root: not an absolute path";
    } else if (strcmp(name, "--scripts") == 0) {
        rule->scripts = value;
        if (!rule_is_list_of_paths(value))
            *complaint = "--scripts: not a list of absolute paths";
    } else if (strcmp(name, "--index") == 0) {
        rule->indexes = value;
        if (!rule_is_list_of_names(value))
            *complaint = "--index: not a list of names of files";
    } else {
        return false;
    }
    return true;
}
