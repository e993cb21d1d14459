/*
 * The control groups that workers are born in.
 *
 * Owns the way from the number of a group to it, and the clone into that. Must not know what a worker is,
 * nor what the groups are for: socketd/workers/groups.py makes them.
 */
#ifndef SOCKETD_GROUP_H
#define SOCKETD_GROUP_H

#include <stdint.h>
#include <sys/types.h>

/* Clone this process, as template_clone() does, into the group of that number below the one that
 * `groups_fd` stands for. A child has neither descriptor. Returns what clone3(2) does. */
long group_clone(int groups_fd, uint32_t number, unsigned long flags, pid_t *pid, pid_t *thread_id);

#endif
