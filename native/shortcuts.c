#include "shortcuts.h"

#include <link.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

enum { SMALLEST_PAGE = 4096 };

extern char **environ;

static bool are_taken;

/* Not by getenv(), which a program may have of its own. */
void shortcuts_choose(void)
{
    are_taken = true;
    for (char **entry = environ; entry && *entry; entry++)
        if (strcmp(*entry, "SOCKETD_PLAIN=1") == 0)
            are_taken = false;
}

bool shortcuts_are_taken(void)
{
    return are_taken;
}

void shortcuts_touch(void *start, size_t size)
{
    volatile char *bytes = start;

    if (!are_taken)
        return;
    for (size_t at = 0; at < size; at += SMALLEST_PAGE)
        bytes[at] = bytes[at];
    bytes[size - 1] = bytes[size - 1];
}

static void unmap(uintptr_t start, uintptr_t end)
{
    if (start < end)
        munmap((void *)start, end - start);
}

/* What takes long when memory is unmapped is not the memory but the last page of page tables that
 * describes it: when the kernel frees one, it interrupts every processor that the process was seen
 * on, and one that sleeps takes some twenty microseconds to wake up. So the place is behind a page
 * that stays, in the range of addresses that one page of page tables describes. There may be a limit
 * on addresses; then it is anywhere. */
void *shortcuts_find_place(size_t size)
{
    const uintptr_t page = (uintptr_t)getpagesize();
    const uintptr_t range = page / sizeof(void *) * page; /* one entry for each page */
    const uintptr_t taken = page + (size + page - 1) / page * page;
    const size_t room = range + taken;
    void *found;
    uintptr_t start;

    if (!are_taken)
        return NULL;
    found = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (found == MAP_FAILED)
        return NULL;
    start = ((uintptr_t)found + range - 1) / range * range;
    unmap((uintptr_t)found, start);
    unmap(start + taken, (uintptr_t)found + room);
    return (void *)(start + page);
}

/* A child of fork() starts with none of the pages of a mapped file, unless the mapping holds a page
 * of the process's own: then its page tables are copied like those of any private memory
 * (vma_needs_copy() in the kernel). Faulting in code and constants again cost a worker more than
 * its fork. So one page of each gets rewritten with what it holds. Where a policy forbids that, all
 * is as it was. */
static int keep_pages(struct dl_phdr_info *object, size_t size, void *unused)
{
    const uintptr_t page_mask = (uintptr_t)getpagesize() - 1;

    (void)size;
    (void)unused;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        uintptr_t begin = (object->dlpi_addr + segment->p_vaddr) & ~page_mask;
        uintptr_t end = object->dlpi_addr + segment->p_vaddr + segment->p_memsz;
        int protection = PROT_READ | (segment->p_flags & PF_X ? PROT_EXEC : 0);
        volatile char *first = (volatile char *)begin;

        if (segment->p_type != PT_LOAD || segment->p_flags & PF_W)
            continue;
        if (mprotect((void *)begin, end - begin, protection | PROT_WRITE) < 0)
            continue;
        *first = *first;
        if (mprotect((void *)begin, end - begin, protection) < 0)
            return -1;
        /* Before Linux 5.14 there is no such advice; then only what was used is there. */
        madvise((void *)begin, end - begin, MADV_POPULATE_READ);
    }
    return 0;
}

bool shortcuts_keep_code_through_fork(void)
{
    return !are_taken || dl_iterate_phdr(keep_pages, NULL) == 0;
}
