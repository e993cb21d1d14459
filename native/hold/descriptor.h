/*
 * The name that the kernel has for a descriptor of this process.
 *
 * Owns how it is written. Must not know what is done with it.
 */
#ifndef SOCKETD_DESCRIPTOR_H
#define SOCKETD_DESCRIPTOR_H

#define DESCRIPTOR_PATH_SIZE (sizeof "/proc/self/fd/0000")

/* Write it; the descriptor is below 10000. */
void descriptor_path(char path[DESCRIPTOR_PATH_SIZE], int fd);

#endif
