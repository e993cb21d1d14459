#include "choice.h"

#include "root.h"
#include "scripts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const struct refusal not_found = {
    "404 Not Found", "there is no such program"};
static const struct refusal no_program = {
    "403 Forbidden", "what the path names is not a program that may be run"};
static const struct refusal too_long = {
    "414 URI Too Long", "the path of the request is too long"};

const struct refusal *choice_make(const struct rule *rule, struct request *request,
                                  struct choice *choice)
{
    choice->text_size = 0;
    return rule->root ? root_choose(rule, request, choice)
                      : scripts_choose(rule, request, choice);
}

const struct refusal *choice_why_not_found(int error)
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

const char *choice_find_index(const char *indexes, struct choice *choice, size_t *length)
{
    const size_t folder_length = strlen(choice->path);
    struct stat file;

    while (indexes && *indexes) {
        *length = strcspn(indexes, ",");
        if (folder_length + *length < sizeof choice->path) {
            memcpy(choice->path + folder_length, indexes, *length);
            choice->path[folder_length + *length] = '\0';
            if (stat(choice->path, &file) == 0)
                return indexes;
        }
        indexes += *length + (indexes[*length] != '\0');
    }
    choice->path[folder_length] = '\0';
    return NULL;
}

const struct refusal *choice_check_program(const struct stat *file, const char *path)
{
    return S_ISREG(file->st_mode) && faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 ? NULL
                                                                                      : &no_program;
}

void choice_run_in_own_folder(struct choice *choice)
{
    size_t length = (size_t)(strrchr(choice->path, '/') - choice->path);

    memcpy(choice->folder_text, choice->path, length);
    choice->folder_text[length] = '\0';
    choice->folder = length ? choice->folder_text : "/";
}

const struct refusal *choice_rewrite(struct request *request, struct choice *choice,
                                     const char *name, struct request_name a,
                                     struct request_name b)
{
    size_t name_length = strlen(name);
    char *entry = choice->text + choice->text_size, *out = entry;

    if (name_length + a.length + b.length + 2 > sizeof choice->text - choice->text_size)
        return &too_long;
    memcpy(out, name, name_length);
    out += name_length;
    *out++ = '=';
    memcpy(out, a.text, a.length);
    memcpy(out + a.length, b.text, b.length);
    out += a.length + b.length;
    *out++ = '\0';
    choice->text_size += (size_t)(out - entry);
    return request_put(request, entry, name_length);
}
