/*
 * A copy has to give the board up when there is a client already, so that has to be quick.
 */
#include "share.h"

#include "shortcuts.h"

#include <sys/mman.h>
#include <sys/stat.h>

bool share_map(struct board *board, int fd)
{
    struct stat file;
    void *memory;
    size_t size;

    if (fstat(fd, &file) < 0)
        return false;
    size = (size_t)file.st_size;
    memory = shortcuts_find_place(size);
    memory = mmap(memory, size, PROT_READ | PROT_WRITE, MAP_SHARED | (memory ? MAP_FIXED : 0), fd, 0);
    return memory != MAP_FAILED && board_attach(board, memory, size);
}
