/*
 * A process is in its group from its first instruction: to move one that runs would make the kernel
 * stop all that fork meanwhile. The group is found by its number, as a name below a descriptor, so that
 * neither another root directory nor a boundary is in the way: O_PATH opens nothing.
 */
#include "group.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of linux/sched.h, which systems with musl may not have. */
#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif

enum { MOST_DIGITS = sizeof "4294967295" };

/* As struct clone_args, which older headers have without the last field. */
struct request {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
        set_tid_size, cgroup;
};

static int open_group(int groups_fd, uint32_t number)
{
    char digits[MOST_DIGITS], *digit = digits + sizeof digits - 1;

    *digit = '\0';
    do
        *--digit = (char)('0' + number % 10);
    while (number /= 10);
    return openat(groups_fd, digit, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

long group_clone(int groups_fd, uint32_t number, unsigned long flags, pid_t *pid, pid_t *thread_id)
{
    const int group_fd = open_group(groups_fd, number);
    struct request request = {
        .flags = flags | CLONE_INTO_CGROUP,
        .child_tid = (uintptr_t)thread_id,
        .parent_tid = (uintptr_t)pid,
        .cgroup = (uint64_t)group_fd,
    };
    long result;
    int saved;

    if (group_fd < 0)
        return -1;
    if (thread_id)
        request.flags |= CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
    result = syscall(SYS_clone3, &request, sizeof request);
    saved = errno;
    close(group_fd);
    if (result == 0)
        close(groups_fd);
    errno = saved;
    return result;
}
