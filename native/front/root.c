/*
 * What a request may name is one component: nothing in it leads elsewhere, but it can be a symbolic
 * link. So the place that it leads to is asked of the system, and has to lie below the folder.
 * Between that look and the exec the file can change; who can do that can write the programs.
 */
#include "root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct refusal not_found = {
    "404 Not Found", "there is no such program"};
static const struct refusal no_program = {
    "403 Forbidden", "what the path names is not a program that may be run"};
static const struct refusal outside = {
    "403 Forbidden", "what the path names leads out of the folder of programs"};
static const struct refusal too_long = {
    "414 URI Too Long", "the path of the request is too long"};

struct place {
    const char *before; /* what leads to the component, without the slash */
    const char *name;
    size_t name_length;
    const char *rest; /* what is behind the component */
};

static bool find_place(const struct request *request, struct place *place)
{
    static const char *const names[] = {"PATH_INFO", "SCRIPT_NAME", "DOCUMENT_URI"};
    const char *path = NULL;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *before = i == 0 ? request_find(request, "SCRIPT_NAME") : NULL;

        path = request_find(request, names[i]);
        if (!path || !*path)
            continue;
        place->before = before ? before : "";
        place->name = path + 1;
        place->name_length = strcspn(path + 1, "/");
        place->rest = path + 1 + place->name_length;
        return *path == '/' && place->name_length > 0 && place->name[0] != '.';
    }
    return false;
}

static const struct refusal *refuse(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return &not_found;
    case ENAMETOOLONG:
        return &too_long;
    default:
        return &no_program;
    }
}

/* Is what the file really is below what the folder really is? */
static const struct refusal *check_below(const char *root, const char *path)
{
    char real_root[PATH_MAX], real_path[PATH_MAX];
    size_t length;

    if (!realpath(root, real_root) || !realpath(path, real_path))
        return refuse(errno);
    length = strcmp(real_root, "/") == 0 ? 0 : strlen(real_root);
    return strncmp(real_path, real_root, length) == 0 && real_path[length] == '/' ? NULL : &outside;
}

static const struct refusal *check_program(const char *path)
{
    struct stat file;

    if (stat(path, &file) < 0)
        return refuse(errno);
    return S_ISREG(file.st_mode) && faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 ? NULL
                                                                                     : &no_program;
}

struct text {
    char *next;
    const char *end;
};

/* Put NAME=ab into the request, where b is part of a text. */
static const struct refusal *rewrite(struct request *request, struct text *text, const char *name,
                                     const char *a, const char *b, size_t b_length)
{
    size_t name_length = strlen(name), a_length = strlen(a);
    char *entry = text->next;

    if (name_length + a_length + b_length + 2 > (size_t)(text->end - entry))
        return &too_long;
    memcpy(entry, name, name_length);
    entry[name_length] = '=';
    memcpy(entry + name_length + 1, a, a_length);
    memcpy(entry + name_length + 1 + a_length, b, b_length);
    text->next = entry + name_length + 1 + a_length + b_length;
    *text->next++ = '\0';
    return request_put(request, entry, name_length);
}

const struct refusal *root_choose(const char *root, struct request *request,
                                  struct root_choice *choice)
{
    struct text text = {choice->text, choice->text + sizeof choice->text};
    const struct refusal *refused;
    struct place place;
    size_t root_length = strlen(root);

    if (!find_place(request, &place))
        return &not_found;
    if (root_length + 1 + place.name_length >= sizeof choice->path)
        return &too_long;
    memcpy(choice->folder, root, root_length + 1);
    memcpy(choice->path, root, root_length);
    choice->path[root_length] = '/';
    memcpy(choice->path + root_length + 1, place.name, place.name_length);
    choice->path[root_length + 1 + place.name_length] = '\0';
    refused = check_below(root, choice->path);
    if (!refused)
        refused = check_program(choice->path);
    /* The slash before the name stands before it in the path. */
    if (!refused)
        refused = rewrite(request, &text, "SCRIPT_NAME", place.before, place.name - 1,
                          place.name_length + 1);
    if (!refused)
        refused = rewrite(request, &text, "PATH_INFO", "", place.rest, strlen(place.rest));
    if (!refused)
        refused = rewrite(request, &text, "SCRIPT_FILENAME", "", choice->path,
                          strlen(choice->path));
    return refused;
}
