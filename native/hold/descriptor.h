/*
 * A descriptor of this process, as a number and as the kernel names it.
 *
 * Owns how high it may be, and how the name is written. Must not know what is done with it.
 */
#ifndef SOCKETD_DESCRIPTOR_H
#define SOCKETD_DESCRIPTOR_H

/* Of the descriptors that are looked at: the master refuses a program with a higher one. */
enum { DESCRIPTOR_HIGHEST = 1023 };

#define DESCRIPTOR_PATH_SIZE (sizeof "/proc/self/fd/0000")

/* Write it; the descriptor is below 10000. */
void descriptor_path(char path[DESCRIPTOR_PATH_SIZE], int fd);

#endif
