#include "location.h"

#include <stdlib.h>
#include <string.h>

bool location_find(const char *path, struct location *location)
{
    return realpath(path, location->path) != NULL;
}

bool location_is_below(const struct location *location, const struct location *folder)
{
    size_t length = strcmp(folder->path, "/") == 0 ? 0 : strlen(folder->path);

    return strncmp(location->path, folder->path, length) == 0 && location->path[length] == '/' &&
           location->path[length + 1] != '\0';
}
