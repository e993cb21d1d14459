/*
 * A fork shares open files, and with them the position where the next read begins. A shell reads
 * its script as it goes on, and moves back to where it is before it starts a program: two copies
 * would each run what the other has skipped. A folder has such a position, too. So each has its files
 * opened anew, at the position where its template stands. That is before there is a connection, so no
 * client waits for it.
 *
 * Only for what is open for reading: who writes to one file means the others to find it there.
 */
#include "files.h"

#include "descriptor.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_FILES = 32, NO_TWIN = -1 };

struct file {
    int fd;
    int twin; /* the descriptor that it is a duplicate of, NO_TWIN if it is the first */
    int flags;
    int descriptor_flags;
    off_t position;
};

static struct file files[MOST_FILES];
static int file_count;

/* No other process moves it meanwhile: the template stands still, and there are no copies yet. */
static bool is_twin(const struct file *one, int fd)
{
    struct stat first, second;
    bool is_moved;

    if (fstat(one->fd, &first) < 0 || fstat(fd, &second) < 0 || first.st_ino != second.st_ino ||
        first.st_dev != second.st_dev)
        return false;
    lseek(one->fd, one->position + 1, SEEK_SET);
    is_moved = lseek(fd, 0, SEEK_CUR) == one->position + 1;
    lseek(one->fd, one->position, SEEK_SET);
    /* They may have stood one apart by chance. */
    return is_moved && lseek(fd, 0, SEEK_CUR) == one->position;
}

static int find_twin(int fd)
{
    for (int i = 0; i < file_count; i++)
        if (files[i].twin == NO_TWIN && is_twin(&files[i], fd))
            return files[i].fd;
    return NO_TWIN;
}

static int reopen(const struct file *file)
{
    char path[DESCRIPTOR_PATH_SIZE];
    int fd;

    if (file->twin != NO_TWIN)
        return dup(file->twin);
    descriptor_path(path, file->fd);
    fd = open(path, file->flags);
    if (fd >= 0 && lseek(fd, file->position, SEEK_SET) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* The program may have been somebody else, or elsewhere, when it was opened. */
static bool can_reopen(const struct file *file)
{
    const int fd = reopen(file);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

const char *files_find(void)
{
    file_count = 0;
    for (int fd = 0; fd <= DESCRIPTOR_HIGHEST; fd++) {
        int flags = fcntl(fd, F_GETFL);
        struct stat status;

        if (flags < 0 || (flags & O_ACCMODE) != O_RDONLY || (flags & O_PATH) ||
            fstat(fd, &status) < 0 || (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)))
            continue;
        if (file_count == MOST_FILES)
            return "it has too many files open for reading";
        files[file_count] = (struct file){
            .fd = fd,
            .twin = find_twin(fd),
            .flags = flags,
            .descriptor_flags = fcntl(fd, F_GETFD),
            .position = lseek(fd, 0, SEEK_CUR),
        };
        if (!can_reopen(&files[file_count]))
            return "it has a file open that its copies could not open";
        file_count++;
    }
    return NULL;
}

void files_reopen(void)
{
    for (int i = 0; i < file_count; i++) {
        const struct file *file = &files[i];
        int fd = reopen(file);

        if (fd < 0)
            continue;
        dup3(fd, file->fd, file->descriptor_flags & FD_CLOEXEC ? O_CLOEXEC : 0);
        close(fd);
    }
}
