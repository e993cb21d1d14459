/*
 * What a program has at 0 it has in more places: at 1 and 2, and wherever it has duplicated one of them.
 */
#include "wired.h"

#include "descriptor.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

/* Returns false if they are too many. */
static bool find_twins(struct twins *twins, const struct stat *one)
{
    struct stat file;

    for (int fd = 0; fd <= DESCRIPTOR_HIGHEST; fd++) {
        if (fstat(fd, &file) < 0 || file.st_ino != one->st_ino || file.st_dev != one->st_dev)
            continue;
        if (twins->count == MOST_WIRED)
            return false;
        twins->fds[twins->count] = fd;
        twins->flags[twins->count++] = fcntl(fd, F_GETFD) & FD_CLOEXEC;
    }
    return true;
}

static bool find_log(struct stat *log, uint64_t inode)
{
    for (int fd = 0; inode && fd <= DESCRIPTOR_HIGHEST; fd++)
        if (fstat(fd, log) == 0 && S_ISSOCK(log->st_mode) && log->st_ino == inode)
            return true;
    return false;
}

const char *wired_find(struct twins *wired, struct twins *logging, uint64_t log_inode)
{
    struct stat pair, log;

    wired->count = logging->count = 0;
    if (fstat(STDIN_FILENO, &pair) < 0)
        return "its standard input is closed";
    if (!find_twins(wired, &pair) || (find_log(&log, log_inode) && !find_twins(logging, &log)))
        return "too many of its descriptors are the connection or its log";
    return NULL;
}
