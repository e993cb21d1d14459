/*
 * No component of a path that begins with a dot is taken, so nothing in it leads elsewhere, but
 * each may be a symbolic link. So the place that they lead to is asked of the system, and has to lie
 * below the folder. Between that look and the exec the file can change; who can do that can write
 * the programs.
 */
#include "root.h"

#include "location.h"

#include <errno.h>
#include <string.h>

static const struct refusal outside = {
    "403 Forbidden", "what the path names leads out of the folder of programs"};

struct way {
    const char *before; /* what leads to the path, without the slash */
    const char *path;   /* begins with a slash */
    const char *rest;   /* what is behind the program */
    struct request_name index; /* that stands for the folder that the path leads to */
};

static bool find_path(const struct request *request, struct way *way)
{
    static const char *const names[] = {"PATH_INFO", "SCRIPT_NAME", "DOCUMENT_URI"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *path = request_find(request, names[i]);
        const char *before = i == 0 ? request_find(request, "SCRIPT_NAME") : NULL;

        if (!path || !*path)
            continue;
        *way = (struct way){.before = before ? before : "", .path = path};
        return *path == '/';
    }
    return false;
}

/* The path so far is that of a folder, and ends with a slash. */
static const struct refusal *take_index(const char *indexes, struct choice *choice, struct way *way)
{
    way->index.text = choice_find_index(indexes, choice, &way->index.length);
    way->rest = "";
    return way->index.text ? NULL : choice_why_not_found(EISDIR);
}

/* Go down the path as long as it leads through folders. choice->path is the folder to begin in. */
static const struct refusal *walk(const char *indexes, struct choice *choice, struct way *way)
{
    size_t length = strlen(choice->path);
    struct stat file;

    for (const char *at = way->path;;) {
        size_t size = strcspn(at + 1, "/") + 1; /* with its slash */

        if (length + size >= sizeof choice->path)
            return choice_why_not_found(ENAMETOOLONG);
        memcpy(choice->path + length, at, size);
        choice->path[length += size] = '\0';
        if (size == 1 && at[1] == '\0')
            return at == way->path && !indexes ? choice_why_not_found(ENOENT)
                                               : take_index(indexes, choice, way);
        if (size == 1 || at[1] == '.')
            return choice_why_not_found(ENOENT);
        at += size;
        if (stat(choice->path, &file) < 0)
            return choice_why_not_found(errno);
        if (!S_ISDIR(file.st_mode)) {
            way->rest = at;
            return NULL;
        }
        if (*at == '\0')
            return choice_why_not_found(EISDIR);
    }
}

static const struct refusal *check(const struct rule *rule, const struct choice *choice)
{
    struct location folder, program;
    struct stat file;

    if (!location_find(rule->root, &folder) || !location_find(choice->path, &program) ||
        stat(choice->path, &file) < 0)
        return choice_why_not_found(errno);
    if (!location_is_below(&program, &folder))
        return &outside;
    return choice_check_program(&file, choice->path);
}

static struct request_name whole(const char *text)
{
    return (struct request_name){text, strlen(text)};
}

/* Has the web server found the program itself? */
static bool is_found_already(const struct rule *rule, const struct request *request,
                             struct choice *choice)
{
    const char *path = request_find(request, "SCRIPT_FILENAME");
    size_t root_length = strlen(rule->root);
    struct stat file;

    if (!path || strncmp(path, rule->root, root_length) != 0 || path[root_length] != '/' ||
        strstr(path + root_length, "/.") || strlen(path) >= sizeof choice->path ||
        stat(path, &file) < 0 || !S_ISREG(file.st_mode))
        return false;
    strcpy(choice->path, path);
    return true;
}

const struct refusal *root_choose(const struct rule *rule, struct request *request,
                                  struct choice *choice)
{
    const struct refusal *refused = NULL;
    struct way way;

    if (is_found_already(rule, request, choice)) {
        choice_run_in_own_folder(choice);
        return check(rule, choice);
    }
    if (!find_path(request, &way))
        return choice_why_not_found(ENOENT);
    if (strlen(rule->root) >= sizeof choice->path)
        return choice_why_not_found(ENAMETOOLONG);
    strcpy(choice->path, rule->root);
    refused = walk(rule->indexes, choice, &way);
    if (!refused)
        refused = check(rule, choice);
    if (refused)
        return refused;
    choice_run_in_own_folder(choice);
    refused = choice_rewrite(request, choice, "SCRIPT_NAME", whole(way.before),
                             (struct request_name){way.path, strlen(way.path) - strlen(way.rest)});
    if (!refused && way.index.text)
        refused = choice_rewrite(request, choice, "SCRIPT_NAME",
                                 whole(request_find(request, "SCRIPT_NAME")), way.index);
    if (!refused)
        refused = choice_rewrite(request, choice, "PATH_INFO", whole(way.rest), whole(""));
    if (!refused)
        refused = choice_rewrite(request, choice, "SCRIPT_FILENAME", whole(choice->path), whole(""));
    return refused;
}
