/*
 * Limits and niceness come first, since root may raise them; then groups before the user, who could
 * not change them any more; then the capabilities that the change of user may have left; then umask
 * and directory, so that the directory is one that the user can enter; no_new_privs; and last what is
 * in reach at all, a ruleset that the master has made, since that asks for no_new_privs. Another root
 * directory needs root, so it comes before the groups. After a change of user nothing here is dumpable until it execs, so that a program cannot trace the workers that wait
 * under the same user, nor write the board through them. That is forbidden at once, for a system may
 * be set to let every process be traced (fs.suid_dumpable), and to enter a directory may take long.
 */
#include "privileges.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static_assert(sizeof(gid_t) == sizeof(uint32_t), "the groups of a plan are those of setgroups()");

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

static bool set_limits(const struct plan *plan)
{
    for (size_t i = 0; i < plan->limits.count; i++) {
        const int resource = (int)plan_limits(plan)[i].resource;
        const struct rlimit value = plan_limit_value(&plan_limits(plan)[i]);

        if (resource == RLIMIT_CPU ? !raise_cpu_limit(&value) : setrlimit(resource, &value) < 0)
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

/* The number is that of every architecture but alpha, where the call fails. */
static bool obey(int ruleset)
{
#ifndef SYS_landlock_restrict_self
    enum { SYS_landlock_restrict_self = 446 };
#endif

    return syscall(SYS_landlock_restrict_self, ruleset, 0U) == 0;
}

const char *privileges_apply(const struct plan *plan, int ruleset)
{
    const uid_t uid = plan->uid;
    const gid_t gid = plan->gid;
    const bool has_identity = plan->present & PLAN_HAS_IDENTITY;
    const char *directory = plan_text(plan, plan->directory);
    const char *root = plan_text(plan, plan->chroot);

    if (!set_limits(plan))
        return "set the limits";
    if (plan->present & PLAN_HAS_NICE && setpriority(PRIO_PROCESS, 0, plan->nice) < 0)
        return "set the niceness";
    if (root && (chroot(root) < 0 || chdir("/") < 0))
        return "change the root directory";
    if (has_identity && setgroups(plan->groups.count, plan_groups(plan)) < 0)
        return "set the groups";
    if (has_identity && setresgid(gid, gid, gid) < 0)
        return "set the group";
    if (has_identity && setresuid(uid, uid, uid) < 0)
        return "become the user";
    if (has_identity && prctl(PR_SET_DUMPABLE, 0) < 0)
        return "forbid tracing";
    if (has_identity && uid != 0 && !drop_capabilities())
        return "drop all capabilities";
    if (plan->present & PLAN_HAS_UMASK)
        umask(plan->umask);
    if (directory && chdir(directory) < 0)
        return "enter the directory";
    if (plan->present & PLAN_HAS_NO_NEW_PRIVS && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return "set no_new_privs";
    if (plan->present & PLAN_HAS_RULESET && !obey(ruleset))
        return "confine the program";
    return NULL;
}
