/*
 * No string is moved: a library may have kept the address of one at its start. So what is taken out
 * becomes NULs, and if it was the last, the kernel is told that they end sooner. It can be told where
 * kernels are made for checkpoints (CONFIG_CHECKPOINT_RESTORE, as those of distributions are), by who
 * says all that it knows of the process's memory again. Where it cannot, NULs stay.
 */
#include "initial.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { STAT_SIZE = 1024, FIRST_FIELD = 3, LAST_FIELD = 51 };

/* Fields of /proc/PID/stat, proc_pid_stat(5). */
enum {
    START_CODE = 26,
    END_CODE = 27,
    START_STACK = 28,
    START_DATA = 45,
    END_DATA = 46,
    START_BRK = 47,
    ARG_START = 48,
    ARG_END = 49,
    ENV_START = 50,
    ENV_END = 51,
};

static bool read_fields(uint64_t fields[LAST_FIELD + 1])
{
    char text[STAT_SIZE], *at;
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    ssize_t count = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

    close(fd);
    if (count < 0)
        return false;
    text[count] = '\0';
    at = strrchr(text, ')'); /* of the name, which may hold anything */
    if (!at)
        return false;
    at += sizeof ") R" - 1;
    for (int i = FIRST_FIELD + 1; i <= LAST_FIELD; i++)
        fields[i] = strtoull(at, &at, 10);
    return fields[ENV_END] != 0;
}

static void end_at(char *end, char *former_end)
{
    uint64_t fields[LAST_FIELD + 1];
    struct prctl_mm_map map;

    if (!read_fields(fields) || fields[ENV_END] != (uintptr_t)former_end)
        return;
    map = (struct prctl_mm_map){
        .start_code = fields[START_CODE],
        .end_code = fields[END_CODE],
        .start_data = fields[START_DATA],
        .end_data = fields[END_DATA],
        .start_brk = fields[START_BRK],
        .brk = (uint64_t)syscall(SYS_brk, 0),
        .start_stack = fields[START_STACK],
        .arg_start = fields[ARG_START],
        .arg_end = fields[ARG_END],
        .env_start = fields[ENV_START],
        .env_end = (uintptr_t)end,
        .exe_fd = (uint32_t)-1,
    };
    prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0);
}

void initial_remove(char *variable)
{
    size_t size = strlen(variable) + 1;

    memset(variable, 0, size);
    end_at(variable, variable + size);
}

void initial_replace(char *variable, const char *value)
{
    size_t size = strlen(variable) + 1, kept = (size_t)(strchr(variable, '=') + 1 - variable);

    memmove(variable + kept, value, strlen(value) + 1);
    kept += strlen(value) + 1;
    memset(variable + kept, 0, size - kept);
    end_at(variable + kept, variable + size);
}
