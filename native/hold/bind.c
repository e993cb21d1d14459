/*
 * A dynamically linked program finds a function of a library when it first calls it. In a copy each
 * first call would be that of the copy: the search is made, and its pages are faulted in, for every
 * connection. For cat that is a tenth of all that a copy does.
 *
 * LD_BIND_NOW would have the loader do it, but for good: a plug-in that a program loads later, with
 * functions that are missing until the next one is loaded, would then be refused. So this does what
 * the loader would do at the first call, for the objects that are there before main(), and leaves
 * to it what is not found. A function is looked for in the global scope alone, where nothing
 * that is loaded later comes first, so the answer is the one that the first call would have had.
 *
 * The tables are those of the System V ABI and of the GNU symbol versions; see elf(5).
 */
#include "bind.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>

#if defined(__GLIBC__) && defined(__LP64__) && (defined(__x86_64__) || defined(__aarch64__))

#if defined(__x86_64__)
enum { JUMP_SLOT = R_X86_64_JUMP_SLOT };
#else
enum { JUMP_SLOT = R_AARCH64_JUMP_SLOT };
#endif

enum { VERSION_MASK = 0x7fff };

struct object {
    ElfW(Addr) base;
    const ElfW(Sym) *symbols;
    const char *strings;
    const ElfW(Versym) *versions;
    const ElfW(Verneed) *needed;
    const ElfW(Verdef) *defined;
    const ElfW(Rela) *slots;
    size_t slot_count;
    const ElfW(Rela) *others; /* relocations that the loader has made at the start */
    size_t other_count;
    bool is_bound; /* by the loader, at the start */
};

static ElfW(Addr) program_begin, program_end;

/* Our own object, from the linker. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char _end[] __attribute__((visibility("hidden")));

static void find_program(ElfW(Addr) base)
{
    const ElfW(Phdr) *segments = (const void *)getauxval(AT_PHDR);

    for (size_t i = 0; i < getauxval(AT_PHNUM); i++) {
        ElfW(Addr) begin = base + segments[i].p_vaddr;

        if (segments[i].p_type != PT_LOAD)
            continue;
        if (!program_end)
            program_begin = begin;
        program_end = begin + segments[i].p_memsz;
    }
}

/* What the program calls and takes the address of, too, has for address an entry of the program's
 * own table: to bind that entry to it would have it call itself. */
static bool is_in_program(const void *function)
{
    return (ElfW(Addr))function >= program_begin && (ElfW(Addr))function < program_end;
}

/* Where the dynamic section can be written, glibc has added the base to its pointers. */
static const void *place(const struct object *object, ElfW(Addr) value)
{
    return (const void *)(value < object->base ? value + object->base : value);
}

/* What we replace has no version. */
static bool is_ours(const void *function)
{
    return (const char *)function >= __ehdr_start && (const char *)function < _end;
}

static bool read_object(struct object *object, const struct link_map *map)
{
    bool has_addends = false;

    *object = (struct object){.base = map->l_addr};
    for (const ElfW(Dyn) *entry = map->l_ld; entry->d_tag != DT_NULL; entry++) {
        switch (entry->d_tag) {
        case DT_SYMTAB:
            object->symbols = place(object, entry->d_un.d_ptr);
            break;
        case DT_STRTAB:
            object->strings = place(object, entry->d_un.d_ptr);
            break;
        case DT_VERSYM:
            object->versions = place(object, entry->d_un.d_ptr);
            break;
        case DT_VERNEED:
            object->needed = place(object, entry->d_un.d_ptr);
            break;
        case DT_VERDEF:
            object->defined = place(object, entry->d_un.d_ptr);
            break;
        case DT_RELA:
            object->others = place(object, entry->d_un.d_ptr);
            break;
        case DT_RELASZ:
            object->other_count = entry->d_un.d_val / sizeof *object->others;
            break;
        case DT_JMPREL:
            object->slots = place(object, entry->d_un.d_ptr);
            break;
        case DT_PLTRELSZ:
            object->slot_count = entry->d_un.d_val / sizeof *object->slots;
            break;
        case DT_PLTREL:
            has_addends = entry->d_un.d_val == DT_RELA;
            break;
        case DT_BIND_NOW:
            object->is_bound = true;
            break;
        case DT_FLAGS:
            object->is_bound |= (entry->d_un.d_val & DF_BIND_NOW) != 0;
            break;
        case DT_FLAGS_1:
            object->is_bound |= (entry->d_un.d_val & DF_1_NOW) != 0;
            break;
        }
    }
    if (!has_addends)
        object->slot_count = 0;
    return object->symbols && object->strings;
}

/* Of a function that the object has itself, as malloc() in libc, which another may replace. */
static const char *find_defined_version(const struct object *object, unsigned number)
{
    const char *definition = (const char *)object->defined;

    while (definition) {
        const ElfW(Verdef) *version = (const void *)definition;
        const ElfW(Verdaux) *name = (const void *)(definition + version->vd_aux);

        if ((version->vd_ndx & VERSION_MASK) == number)
            return object->strings + name->vda_name;
        definition = version->vd_next ? definition + version->vd_next : NULL;
    }
    return NULL;
}

/* Return the name of a version, NULL if this object has and needs none of that number. */
static const char *find_version(const struct object *object, unsigned number)
{
    const char *need = (const char *)object->needed;

    while (need) {
        const ElfW(Verneed) *file = (const void *)need;
        const char *aux = need + file->vn_aux;

        for (unsigned i = 0; i < file->vn_cnt; i++) {
            const ElfW(Vernaux) *version = (const void *)aux;

            if ((version->vna_other & VERSION_MASK) == number)
                return object->strings + version->vna_name;
            aux += version->vna_next;
        }
        need = file->vn_next ? need + file->vn_next : NULL;
    }
    return find_defined_version(object, number);
}

static void *find_function(const struct object *object, size_t index)
{
    const char *name = object->strings + object->symbols[index].st_name;
    unsigned number = object->versions ? object->versions[index] & VERSION_MASK : VER_NDX_GLOBAL;
    const char *version;
    void *function;

    if (number == VER_NDX_LOCAL)
        return NULL;
    function = dlsym(RTLD_DEFAULT, name);
    if (!function || number == VER_NDX_GLOBAL || is_ours(function))
        return function;
    /* dlvsym() passes over what has no version, as in an object that another one is to be replaced
     * with; the loader takes it. Only where both agree there is no doubt. */
    version = find_version(object, number);
    return version && dlvsym(RTLD_DEFAULT, name, version) == function ? function : NULL;
}

static void bind_object(const struct object *object)
{
    for (size_t i = 0; i < object->slot_count; i++) {
        const ElfW(Rela) *slot = &object->slots[i];
        void *function;

        if (ELF64_R_TYPE(slot->r_info) != JUMP_SLOT || slot->r_addend)
            continue;
        function = find_function(object, ELF64_R_SYM(slot->r_info));
        if (function && !is_in_program(function))
            memcpy((void *)(object->base + slot->r_offset), &function, sizeof function);
    }
}

void bind_functions(void)
{
    find_program(_r_debug.r_map->l_addr);
    for (const struct link_map *map = _r_debug.r_map; map; map = map->l_next) {
        struct object object;

        if (read_object(&object, map) && !object.is_bound)
            bind_object(&object);
    }
    dlerror(); /* what was not found is no news to the program */
}

static bool has_name(const struct object *object, const ElfW(Rela) *relocations, size_t count,
                     const char *name)
{
    for (size_t i = 0; i < count; i++) {
        size_t index = ELF64_R_SYM(relocations[i].r_info);

        if (index && strcmp(object->strings + object->symbols[index].st_name, name) == 0)
            return true;
    }
    return false;
}

bool bind_is_called(const char *name)
{
    for (const struct link_map *map = _r_debug.r_map; map; map = map->l_next) {
        struct object object;

        if (read_object(&object, map) &&
            (has_name(&object, object.slots, object.slot_count, name) ||
             has_name(&object, object.others, object.other_count, name)))
            return true;
    }
    return false;
}

#else

/* Not known here: each copy looks for itself. The loader of musl finds all functions at the start. */
void bind_functions(void)
{
}

bool bind_is_called(const char *name)
{
    (void)name;
    return false;
}

#endif
