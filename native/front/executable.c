/*
 * A script without a "#!" line is given to the shell: its own rule, and that of execvp(3). Its call
 * is that of the file with one more word in front, so there is one list of words for both.
 */
#include "executable.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_program(const char *path)
{
    struct stat file;

    return access(path, X_OK) == 0 && stat(path, &file) == 0 && S_ISREG(file.st_mode);
}

/* Returns whether there was room. */
static bool join(char path[PATH_MAX], const char *folder, size_t folder_length, const char *name)
{
    size_t length = strlen(name);

    if (folder_length + 1 + length >= PATH_MAX)
        return false;
    memcpy(path, folder, folder_length);
    path[folder_length] = '/';
    memcpy(path + folder_length + 1, name, length + 1);
    return true;
}

static bool find_on_path(const char *name, char path[PATH_MAX])
{
    const char *folders = getenv("PATH");

    if (!folders)
        folders = EXECUTABLE_SAFE_PATH;
    for (const char *end; folders; folders = *end ? end + 1 : NULL) {
        end = strchrnul(folders, ':');
        if (*folders == '/' && join(path, folders, (size_t)(end - folders), name) &&
            is_program(path))
            return true;
    }
    return false;
}

bool executable_find(const char *name, char path[PATH_MAX], char folder[PATH_MAX])
{
    char here[PATH_MAX];
    size_t length;

    if (*name == '/') {
        if (strlen(name) >= PATH_MAX)
            return false;
        strcpy(path, name);
    } else if (strchr(name, '/') || !find_on_path(name, path)) {
        if (!getcwd(here, sizeof here))
            return false;
        length = strlen(here);
        if (!join(path, here, length == 1 ? 0 : length, name))
            return false;
    }
    length = (size_t)(strrchr(path, '/') - path);
    memcpy(folder, path, length);
    folder[length] = '\0';
    if (length == 0)
        strcpy(folder, "/");
    return true;
}

void executable_run(const struct executable *executable, char *const environment[])
{
    char **words = executable->words;

    if (executable->folder && chdir(executable->folder) < 0)
        return;
    words[1] = (char *)executable->name;
    execve(executable->path, words + 1, environment);
    if (errno != ENOEXEC)
        return;
    words[0] = (char *)"sh";
    words[1] = (char *)executable->path;
    execve("/bin/sh", words, environment);
}
