/*
 * Where a path really leads to, whatever symbolic links and dots are in it.
 *
 * Owns the comparison of such locations. Must not know what is there, nor why somebody asks.
 */
#ifndef SOCKETD_LOCATION_H
#define SOCKETD_LOCATION_H

#include <limits.h>
#include <stdbool.h>

struct location {
    char path[PATH_MAX];
};

/* Returns false, with errno set, if it leads nowhere. */
bool location_find(const char *path, struct location *location);

/* Is it in a folder, or in one that is below it? Nothing is below itself. */
bool location_is_below(const struct location *location, const struct location *folder);

#endif
