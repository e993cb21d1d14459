/*
 * No stdio and no memory but the caller's: this runs where the program's own must not be touched.
 */
#include "mappings.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

bool mappings_open(struct mappings *mappings)
{
    mappings->fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    mappings->has_failed = mappings->fd < 0;
    mappings->filled = mappings->taken = 0;
    return !mappings->has_failed;
}

void mappings_close(struct mappings *mappings)
{
    if (mappings->fd >= 0)
        close(mappings->fd);
    mappings->fd = -1;
}

static char *next_line(struct mappings *mappings)
{
    char *line = mappings->text + mappings->taken, *end;

    while (!(end = memchr(line, '\n', mappings->filled - mappings->taken))) {
        ssize_t count;

        mappings->filled -= mappings->taken;
        mappings->taken = 0;
        memmove(mappings->text, line, mappings->filled);
        line = mappings->text;
        count = read(mappings->fd, line + mappings->filled, sizeof mappings->text - mappings->filled);
        if (count <= 0) {
            mappings->has_failed = count < 0 || mappings->filled > 0;
            return NULL;
        }
        mappings->filled += (size_t)count;
    }
    *end = '\0';
    mappings->taken = (size_t)(end + 1 - mappings->text);
    return line;
}

static const char *read_number(const char *text, char end, uintptr_t *number)
{
    for (*number = 0; *text != end; text++) {
        if (*text >= '0' && *text <= '9')
            *number = *number * 16 + (uintptr_t)(*text - '0');
        else if (*text >= 'a' && *text <= 'f')
            *number = *number * 16 + (uintptr_t)(*text - 'a' + 10);
        else
            return NULL;
    }
    return text + 1;
}

bool mappings_next(struct mappings *mappings, struct mapping *mapping)
{
    const char *line = next_line(mappings);

    if (!line)
        return false;
    line = read_number(line, '-', &mapping->begin);
    line = line ? read_number(line, ' ', &mapping->end) : NULL;
    if (!line || strlen(line) < sizeof mapping->rights) {
        mappings->has_failed = true;
        return false;
    }
    memcpy(mapping->rights, line, sizeof mapping->rights - 1);
    mapping->rights[sizeof mapping->rights - 1] = '\0';
    /* Behind offset, device and inode, and blanks that put it into a column. */
    for (int word = 0; word < 4; word++) {
        line += strcspn(line, " ");
        line += strspn(line, " ");
    }
    mapping->name = line;
    return true;
}
