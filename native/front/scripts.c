/*
 * Both the file and the folder that the path leads to have to lie where programs are allowed: else a
 * link from elsewhere would choose in which folder, and under which name, an allowed program runs.
 * Between that look and the exec the file can change; who can do that can write the programs.
 *
 * A program with set-user-id is more than the service's user, whom it was allowed to for some reason
 * of its own. It has to stand in the list itself.
 */
#include "scripts.h"

#include "location.h"

#include <errno.h>
#include <string.h>

static const struct refusal nothing_named = {
    "404 Not Found",
    "the request has neither SCRIPT_FILENAME nor both DOCUMENT_ROOT and SCRIPT_NAME"};
static const struct refusal not_absolute = {
    "403 Forbidden", "the path of the program is not absolute"};
static const struct refusal is_folder = {
    "403 Forbidden", "what the path names is a folder"};
static const struct refusal not_allowed = {
    "403 Forbidden", "the program is not in a folder whose programs may be run"};
static const struct refusal gains_rights = {
    "403 Forbidden", "the program has set-user-id or set-group-id, and is not allowed itself"};

struct named {
    char path[PATH_MAX]; /* as the request has it */
    size_t length;       /* up to the end of what is a file */
    struct request_name index; /* that stands for the folder which the path leads to */
};

/* mod_proxy_fcgi of Apache puts the address of its backend before the path. */
static const char *skip_backend(const char *path, size_t *length)
{
    const char *behind;

    *length = strlen(path);
    if (strncmp(path, "proxy:", strlen("proxy:")) != 0)
        return path;
    behind = strstr(path, "://");
    behind = behind ? strchr(behind + 3, '/') : NULL;
    if (!behind)
        return path;
    *length = strcspn(behind, "?");
    return behind;
}

static const struct refusal *read_path(const struct request *request, struct named *named)
{
    const char *path = request_find(request, "SCRIPT_FILENAME"), *behind = "";
    size_t length = 0;

    if (!path || !*path) {
        path = request_find(request, "DOCUMENT_ROOT");
        behind = request_find(request, "SCRIPT_NAME");
        if (!path || !behind)
            return &nothing_named;
        length = strlen(path);
    } else {
        path = skip_backend(path, &length);
    }
    if (*path != '/')
        return &not_absolute;
    if (length + strlen(behind) >= sizeof named->path)
        return choice_why_not_found(ENAMETOOLONG);
    memcpy(named->path, path, length);
    strcpy(named->path + length, behind);
    named->length = length + strlen(behind);
    return NULL;
}

/* Shorten the path until it is there. */
static const struct refusal *find_file(struct named *named, struct choice *choice, struct stat *file)
{
    strcpy(choice->path, named->path);
    while (stat(choice->path, file) < 0) {
        char *slash = strrchr(choice->path, '/');

        if (errno != ENOENT && errno != ENOTDIR)
            return choice_why_not_found(errno);
        if (!slash || slash == choice->path)
            return choice_why_not_found(ENOENT);
        *slash = '\0';
        named->length = (size_t)(slash - choice->path);
    }
    return NULL;
}

static const struct refusal *find_program(const struct rule *rule, struct named *named,
                                          struct choice *choice, struct stat *file)
{
    const struct refusal *refused = find_file(named, choice, file);
    if (refused || !S_ISDIR(file->st_mode))
        return refused;
    if (named->path[named->length] != '\0')
        return choice_why_not_found(ENOENT);
    if (choice->path[named->length - 1] == '/')
        named->index.text = choice_find_index(rule->indexes, choice, &named->index.length);
    if (!named->index.text)
        return &is_folder;
    return stat(choice->path, file) < 0 ? choice_why_not_found(errno) : NULL;
}

struct standing {
    bool is_listed;       /* the program itself */
    bool is_file_below;   /* of a folder in the list */
    bool is_folder_below; /* that is the folder that it is called in, or such a folder itself */
};

static void look_at_entry(const char *path, const struct stat *file, const struct location *program,
                          const struct location *folder, struct standing *standing)
{
    struct location location;
    struct stat entry;

    if (stat(path, &entry) < 0 || !location_find(path, &location))
        return;
    if (!S_ISDIR(entry.st_mode)) {
        standing->is_listed = standing->is_listed ||
                              (entry.st_dev == file->st_dev && entry.st_ino == file->st_ino);
        return;
    }
    standing->is_file_below = standing->is_file_below || location_is_below(program, &location);
    standing->is_folder_below = standing->is_folder_below || location_is_below(folder, &location) ||
                                strcmp(folder->path, location.path) == 0;
}

static const struct refusal *check(const char *list, const struct choice *choice,
                                   const struct stat *file)
{
    struct standing standing = {false, false, false};
    struct location program, folder;
    char path[PATH_MAX];

    if (!location_find(choice->path, &program) || !location_find(choice->folder, &folder))
        return choice_why_not_found(errno);
    for (;;) {
        size_t length = strcspn(list, ",");

        memcpy(path, list, length);
        path[length] = '\0';
        look_at_entry(path, file, &program, &folder, &standing);
        if (list[length] == '\0')
            break;
        list += length + 1;
    }
    if (!standing.is_listed && (!standing.is_file_below || !standing.is_folder_below))
        return &not_allowed;
    if (!standing.is_listed && (file->st_mode & (S_ISUID | S_ISGID)))
        return &gains_rights;
    return choice_check_program(file, choice->path);
}

static struct request_name whole(const char *text)
{
    return (struct request_name){text, strlen(text)};
}

static bool has_end(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);

    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

/* Say what is left of the path, if there is anything. The names of what was shortened lose it. */
static const struct refusal *rewrite(struct request *request, struct choice *choice,
                                     const struct named *named)
{
    const char *rest = named->path + named->length;
    const char *name = request_find(request, "SCRIPT_NAME");
    const struct refusal *refused = NULL;

    if (*rest && name && has_end(name, rest))
        refused = choice_rewrite(request, choice, "SCRIPT_NAME",
                                 (struct request_name){name, strlen(name) - strlen(rest)}, whole(""));
    if (named->index.text && name && has_end(name, "/"))
        refused = choice_rewrite(request, choice, "SCRIPT_NAME", whole(name), named->index);
    if (!refused && *rest)
        refused = choice_rewrite(request, choice, "PATH_INFO", whole(rest), whole(""));
    if (!refused)
        refused = choice_rewrite(request, choice, "SCRIPT_FILENAME", whole(choice->path), whole(""));
    return refused;
}

const struct refusal *scripts_choose(const struct rule *rule, struct request *request,
                                     struct choice *choice)
{
    const char *chosen_folder = request_find(request, "FCGI_CHDIR");
    const struct refusal *refused;
    struct named named = {.index = {NULL, 0}};
    struct stat file;

    refused = read_path(request, &named);
    if (!refused)
        refused = find_program(rule, &named, choice, &file);
    if (refused)
        return refused;
    choice_run_in_own_folder(choice);
    refused = check(rule->scripts, choice, &file);
    if (!refused)
        refused = rewrite(request, choice, &named);
    if (chosen_folder)
        choice->folder = strcmp(chosen_folder, "-") == 0 ? NULL : chosen_folder;
    return refused;
}
