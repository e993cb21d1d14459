/*
 * The memory of this process, mapping by mapping, as the kernel lists it (proc_pid_maps(5)).
 *
 * Owns the reading of the list. Must not know what a mapping is looked at for.
 */
#ifndef SOCKETD_MAPPINGS_H
#define SOCKETD_MAPPINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mapping {
    uintptr_t begin;
    uintptr_t end;
    char rights[5];   /* as in "rw-p" */
    const char *name; /* a file, or a word of the kernel's in brackets, or empty; until the next one */
};

struct mappings {
    int fd;
    bool has_failed;
    size_t filled;
    size_t taken;
    char text[4096 + 128]; /* the longest line */
};

/* Begin with the first. False if the list cannot be read. */
bool mappings_open(struct mappings *mappings);

/* Go to the next one. False if there is none, or what follows cannot be read. */
bool mappings_next(struct mappings *mappings, struct mapping *mapping);

void mappings_close(struct mappings *mappings);

#endif
