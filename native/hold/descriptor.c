/* As sprintf() would have it, which may allocate. */
#include "descriptor.h"

void descriptor_path(char path[DESCRIPTOR_PATH_SIZE], int fd)
{
    static const char folder[] = "/proc/self/fd/";
    char digits[4];
    int count = 0;

    for (const char *from = folder; *from; from++)
        *path++ = *from;
    do
        digits[count++] = (char)('0' + fd % 10);
    while ((fd /= 10) > 0);
    while (count > 0)
        *path++ = digits[--count];
    *path = '\0';
}
