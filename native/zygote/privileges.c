/*
 * Limits and niceness come first, since root may raise them; then groups before the user, who could
 * not change them any more; then the capabilities that the change of user may have left; then umask
 * and directory, so that the directory is one that the user can enter. After a change of user
 * nothing here is dumpable until it execs, so that a program cannot trace the workers that wait
 * under the same user, nor write the board through them. That is forbidden at once, for a system may
 * be set to let everybody be traced (fs.suid_dumpable), and to enter a directory may take long.
 */
#include "privileges.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct {
    const char *name;
    int resource;
} RESOURCES[] = {
    {"as", RLIMIT_AS},
    {"core", RLIMIT_CORE},
    {"cpu", RLIMIT_CPU},
    {"data", RLIMIT_DATA},
    {"fsize", RLIMIT_FSIZE},
    {"memlock", RLIMIT_MEMLOCK},
    {"msgqueue", RLIMIT_MSGQUEUE},
    {"nice", RLIMIT_NICE},
    {"nofile", RLIMIT_NOFILE},
    {"nproc", RLIMIT_NPROC},
    {"rss", RLIMIT_RSS},
    {"rtprio", RLIMIT_RTPRIO},
    {"rttime", RLIMIT_RTTIME},
    {"sigpending", RLIMIT_SIGPENDING},
    {"stack", RLIMIT_STACK},
};

/* Read digits up to `last`, which must follow them. Returns what is behind it, NULL if wrong. */
static const char *read_number(unsigned long long *number, const char *text, int base, char last)
{
    char *end;

    if (*text < '0' || *text > '9')
        return NULL;
    errno = 0;
    *number = strtoull(text, &end, base);
    return errno || *end != last ? NULL : end + (last != '\0');
}

/* All ones is no id: it means "leave as it is" to the system calls. */
static bool read_id(uint32_t *id, const char *text)
{
    unsigned long long number;

    if (!read_number(&number, text, 10, '\0') || number >= UINT32_MAX)
        return false;
    *id = (uint32_t)number;
    return true;
}

static bool read_groups(struct privileges *privileges, const char *text)
{
    size_t count = 1;

    for (const char *at = text; *at; at++)
        count += *at == ',';
    privileges->groups = calloc(count, sizeof *privileges->groups);
    if (!privileges->groups)
        return false;
    for (size_t i = 0; i < count; i++) {
        unsigned long long number;

        text = read_number(&number, text, 10, i + 1 < count ? ',' : '\0');
        if (!text || number >= UINT32_MAX)
            return false;
        privileges->groups[i] = (gid_t)number;
    }
    privileges->group_count = count;
    return true;
}

static const char *read_limit_value(rlim_t *value, const char *text, char last)
{
    static const char unlimited[] = "unlimited";
    const size_t length = sizeof unlimited - 1;
    unsigned long long number;

    if (strncmp(text, unlimited, length) == 0) {
        *value = RLIM_INFINITY;
        return text[length] == last ? text + length + (last != '\0') : NULL;
    }
    text = read_number(&number, text, 10, last);
    if (text)
        *value = number;
    return text;
}

static bool read_limit(struct privileges *privileges, const char *text)
{
    const char *equals = strchr(text, '=');
    struct limit *limit = &privileges->limits[privileges->limit_count];

    if (!equals || privileges->limit_count == MOST_LIMITS)
        return false;
    for (size_t i = 0; i < sizeof RESOURCES / sizeof *RESOURCES; i++) {
        size_t length = strlen(RESOURCES[i].name);

        if (length != (size_t)(equals - text) || strncmp(text, RESOURCES[i].name, length) != 0)
            continue;
        limit->resource = RESOURCES[i].resource;
        text = read_limit_value(&limit->value.rlim_cur, equals + 1, ':');
        if (!text || !read_limit_value(&limit->value.rlim_max, text, '\0'))
            return false;
        privileges->limit_count++;
        return true;
    }
    return false;
}

static bool read_nice(int *nice, const char *text)
{
    const bool is_negative = *text == '-';
    unsigned long long number;

    if (!read_number(&number, text + is_negative, 10, '\0') || number > 20)
        return false;
    *nice = is_negative ? -(int)number : (int)number;
    return true;
}

const char *privileges_take(struct privileges *privileges, const char *option, const char *value)
{
    unsigned long long number;

    if (strcmp(option, "--uid") == 0) {
        privileges->has_uid = true;
        return read_id(&privileges->uid, value) ? NULL : "--uid is not a user id";
    }
    if (strcmp(option, "--gid") == 0) {
        privileges->has_gid = true;
        return read_id(&privileges->gid, value) ? NULL : "--gid is not a group id";
    }
    if (strcmp(option, "--groups") == 0)
        return read_groups(privileges, value) ? NULL : "--groups is not a list of group ids";
    if (strcmp(option, "--umask") == 0) {
        privileges->has_umask = true;
        if (!read_number(&number, value, 8, '\0') || number > 0777)
            return "--umask is not an octal number up to 777";
        privileges->umask = (mode_t)number;
        return NULL;
    }
    if (strcmp(option, "--directory") == 0) {
        privileges->directory = value;
        return NULL;
    }
    if (strcmp(option, "--nice") == 0) {
        privileges->has_nice = true;
        return read_nice(&privileges->nice, value) ? NULL : "--nice is not from -20 to 19";
    }
    if (strcmp(option, "--limit") == 0)
        return read_limit(privileges, value) ? NULL : "--limit is not NAME=SOFT:HARD";
    if (strcmp(option, "--no-new-privs") == 0) {
        privileges->has_no_new_privs = true;
        return strcmp(value, "yes") == 0 ? NULL : "--no-new-privs is not yes";
    }
    return "";
}

static bool raise_cpu_limit(const struct rlimit *wanted)
{
    struct rlimit now;

    if (getrlimit(RLIMIT_CPU, &now) < 0)
        return false;
    if (now.rlim_max >= wanted->rlim_max) /* RLIM_INFINITY is the largest of all */
        return true;
    now.rlim_max = wanted->rlim_max;
    return setrlimit(RLIMIT_CPU, &now) == 0;
}

static bool set_limits(const struct privileges *privileges)
{
    for (size_t i = 0; i < privileges->limit_count; i++) {
        const struct limit *limit = &privileges->limits[i];

        if (limit->resource == RLIMIT_CPU ? !raise_cpu_limit(&limit->value)
                                          : setrlimit(limit->resource, &limit->value) < 0)
            return false;
    }
    return true;
}

/* The ambient set goes with the permitted one. */
static bool drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

    return syscall(SYS_capset, &header, none) == 0;
}

const char *privileges_apply(const struct privileges *privileges)
{
    const uid_t uid = privileges->uid;
    const gid_t gid = privileges->gid;

    if (!set_limits(privileges))
        return "set the limits";
    if (privileges->has_nice && setpriority(PRIO_PROCESS, 0, privileges->nice) < 0)
        return "set the niceness";
    if (privileges->groups && setgroups(privileges->group_count, privileges->groups) < 0)
        return "set the groups";
    if (privileges->has_gid && setresgid(gid, gid, gid) < 0)
        return "set the group";
    if (privileges->has_uid && setresuid(uid, uid, uid) < 0)
        return "become the user";
    if (privileges->has_uid && prctl(PR_SET_DUMPABLE, 0) < 0)
        return "forbid tracing";
    if (privileges->has_uid && uid != 0 && !drop_capabilities())
        return "drop all capabilities";
    if (privileges->has_umask)
        umask(privileges->umask);
    if (privileges->directory && chdir(privileges->directory) < 0)
        return "enter the directory";
    if (privileges->has_no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return "set no_new_privs";
    return NULL;
}

const struct rlimit *privileges_cpu_limit(const struct privileges *privileges)
{
    for (size_t i = 0; i < privileges->limit_count; i++)
        if (privileges->limits[i].resource == RLIMIT_CPU)
            return &privileges->limits[i].value;
    return NULL;
}
