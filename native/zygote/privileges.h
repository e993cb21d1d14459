/*
 * What the template gives up before its first worker.
 *
 * Owns the options for it and the order of the system calls, which socketd/privileges.py has too.
 * Must not know users by name: whoever calls has looked them up.
 */
#ifndef SOCKETD_PRIVILEGES_H
#define SOCKETD_PRIVILEGES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

enum { MOST_LIMITS = 16 };

struct limit {
    int resource;
    struct rlimit value;
};

struct privileges {
    bool has_uid, has_gid, has_umask, has_nice, has_no_new_privs;
    uid_t uid;
    gid_t gid;
    gid_t *groups; /* NULL leaves them */
    size_t group_count;
    mode_t umask;
    int nice;
    const char *directory; /* NULL leaves it */
    struct limit limits[MOST_LIMITS];
    size_t limit_count;
};

/*
 * Take an option and its value. Returns NULL if it was taken, the empty text if it is none of
 * ours, and otherwise what is wrong with it.
 */
const char *privileges_take(struct privileges *privileges, const char *option, const char *value);

/* Apply everything to this process. Returns NULL, or what could not be done, with errno set. */
const char *privileges_apply(const struct privileges *privileges);

/*
 * Return the limit on processor time, NULL if there is none. The template, which lives long, has
 * only its hard limit raised where that must be: the limit itself is for each worker to set.
 */
const struct rlimit *privileges_cpu_limit(const struct privileges *privileges);

#endif
