/*
 * A copy has to give the board up when there is a client already, so that has to be quick. What
 * takes long is not the memory but the last page of page tables that describes it: when the kernel
 * frees one, it interrupts every processor that the copy was seen on, and one that sleeps takes some
 * twenty microseconds to wake up. So the board lies behind a page that stays, in the range of
 * addresses that one page of page tables describes.
 */
#include "share.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void unmap(uintptr_t start, uintptr_t end)
{
    if (start < end)
        munmap((void *)start, end - start);
}

/* Return where a mapping is to be put by force, NULL for anywhere: there may be a limit on addresses. */
static void *find_place(size_t size)
{
    const uintptr_t page = (uintptr_t)getpagesize();
    const uintptr_t range = page / sizeof(void *) * page; /* one entry for each page */
    const uintptr_t taken = page + (size + page - 1) / page * page;
    const size_t room = range + taken;
    void *found = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uintptr_t start;

    if (found == MAP_FAILED)
        return NULL;
    start = ((uintptr_t)found + range - 1) / range * range;
    unmap((uintptr_t)found, start);
    unmap(start + taken, (uintptr_t)found + room);
    return (void *)(start + page);
}

bool share_map(struct board *board, int fd)
{
    struct stat file;
    void *memory;
    size_t size;

    if (fstat(fd, &file) < 0)
        return false;
    size = (size_t)file.st_size;
    memory = find_place(size);
    memory = mmap(memory, size, PROT_READ | PROT_WRITE, MAP_SHARED | (memory ? MAP_FIXED : 0), fd, 0);
    return memory != MAP_FAILED && board_attach(board, memory, size);
}

void share_leave(const struct board *board)
{
    munmap(board->header, board_size(board->capacity));
}
