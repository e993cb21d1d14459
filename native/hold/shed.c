/*
 * What a keeper calls of libc works on descriptors and on memory of ours, and needs of libc only what lies
 * with its code. So the heap goes, and every other mapping of no file, but for the stack, the one that has
 * what libc knows of this thread, and those right behind a file: they are the zeroed end of its data.
 * The rest of a file's data stays: it is little, and that of libc and of our object is among it.
 *
 * That is so only where all that our object calls is in one place, libc. A library of checks, or one that
 * changes the time, comes before it, and has memory of its own: then all stays as it is.
 */
#include "shed.h"

#include "mappings.h"

#include <errno.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>

#if UINTPTR_MAX > UINT32_MAX
#define RELOCATIONS DT_RELA
#else
#define RELOCATIONS DT_REL
#endif

/* Of our object: its ends, and what the loader needs of it. */
extern const char __ehdr_start __attribute__((visibility("hidden")));
extern const char _end __attribute__((visibility("hidden")));
extern ElfW(Dyn) _DYNAMIC[] __attribute__((visibility("hidden")));

static bool has(const struct mapping *mapping, uintptr_t address)
{
    return mapping->begin <= address && address < mapping->end;
}

static uintptr_t find(ElfW(Sxword) tag)
{
    for (const ElfW(Dyn) *entry = _DYNAMIC; entry->d_tag != DT_NULL; entry++)
        if (entry->d_tag == tag)
            return entry->d_un.d_val;
    return 0;
}

/* Tell whether every call out of our object leads into this mapping. The loader has filled the table of them
 * when the object was loaded. Some come back to us: we stand before libc there. */
static bool has_all_that_is_called(const struct mapping *mapping)
{
    const uintptr_t base = (uintptr_t)&__ehdr_start, said = find(DT_JMPREL);
    const size_t size =
        RELOCATIONS == DT_RELA ? sizeof(ElfW(Rela)) : sizeof(ElfW(Rel));
    const uintptr_t begin = said < base ? base + said : said, end = begin + find(DT_PLTRELSZ);

    if (!said || find(DT_PLTREL) != RELOCATIONS)
        return false;
    for (uintptr_t at = begin; at < end; at += size) {
        const ElfW(Rel) *relocation = (const void *)at; /* as the beginning of the other kind */
        const uintptr_t *slot = (const void *)(base + relocation->r_offset);

        if (!has(mapping, *slot) && (*slot < base || *slot >= (uintptr_t)&_end))
            return false;
    }
    return true;
}

static bool is_safe(void)
{
    struct mappings mappings;
    struct mapping mapping;
    bool is_found = false;

    if (!mappings_open(&mappings))
        return false;
    while (!is_found && mappings_next(&mappings, &mapping))
        is_found = mapping.rights[2] == 'x' && has_all_that_is_called(&mapping);
    mappings_close(&mappings);
    return is_found;
}

/* `end_of_file` is where the last mapping of a file has ended. */
static bool is_needed(const struct mapping *mapping, uintptr_t end_of_file)
{
    if (mapping->rights[3] != 'p' || has(mapping, (uintptr_t)&errno) ||
        has(mapping, (uintptr_t)__builtin_frame_address(0)))
        return true;
    if (strcmp(mapping->name, "[heap]") == 0)
        return false;
    return mapping->begin == end_of_file ||
           (*mapping->name && strncmp(mapping->name, "[anon:", strlen("[anon:")) != 0);
}

void shed_memory(void)
{
    struct mappings mappings;
    struct mapping mapping;
    uintptr_t end_of_file = 0;

    if (!is_safe() || !mappings_open(&mappings))
        return;
    while (mappings_next(&mappings, &mapping)) {
        if (!is_needed(&mapping, end_of_file))
            munmap((void *)mapping.begin, mapping.end - mapping.begin);
        if (*mapping.name == '/')
            end_of_file = mapping.end;
    }
    mappings_close(&mappings);
}
