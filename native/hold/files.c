/*
 * A position belongs to what open(2) has made, which a fork shares. A shell reads its script bit by
 * bit, and bash goes back to where it is before it starts a program: in copies that share a
 * position one would go on where another has come to.
 *
 * Opening /proc/self/fd/N opens the same file, also one that has no name any more, and also under
 * another name by now; proc(5).
 */
#include "files.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_FILES = 32, HIGHEST_LOOKED_AT = 1023, PATH_SIZE = sizeof "/proc/self/fd/1023" };

struct file {
    int fd;
    int descriptor_flags; /* FD_CLOEXEC or 0 */
    int status_flags;
    off_t position;
};

static struct file files[MOST_FILES];
static int count;

static bool is_read_only(int fd, struct file *file)
{
    struct stat status;

    file->descriptor_flags = fcntl(fd, F_GETFD);
    if (file->descriptor_flags < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
        return false;
    file->status_flags = fcntl(fd, F_GETFL);
    file->position = lseek(fd, 0, SEEK_CUR);
    return (file->status_flags & O_ACCMODE) == O_RDONLY && !(file->status_flags & O_PATH) &&
           file->position >= 0;
}

void files_note(void)
{
    count = 0;
    for (int fd = 0; fd <= HIGHEST_LOOKED_AT && count < MOST_FILES; fd++) {
        files[count].fd = fd;
        if (is_read_only(fd, &files[count]))
            count++;
    }
}

/* No stdio: see hold.c. */
static void write_path(char path[PATH_SIZE], int fd)
{
    static const char folder[] = "/proc/self/fd/";
    char digits[4];
    size_t length = 0;

    for (size_t i = 0; i < sizeof folder - 1; i++)
        *path++ = folder[i];
    do
        digits[length++] = (char)('0' + fd % 10);
    while (fd /= 10);
    while (length > 0)
        *path++ = digits[--length];
    *path = '\0';
}

void files_separate(void)
{
    for (int i = 0; i < count; i++) {
        const struct file *file = &files[i];
        char path[PATH_SIZE];
        int own;

        write_path(path, file->fd);
        own = open(path, (file->status_flags & ~O_CREAT) | O_CLOEXEC);
        if (own < 0)
            continue;
        if (lseek(own, file->position, SEEK_SET) == file->position)
            dup3(own, file->fd, file->descriptor_flags & FD_CLOEXEC ? O_CLOEXEC : 0);
        close(own);
    }
}
