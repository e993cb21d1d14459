/*
 * What the template gives up before its first worker.
 *
 * Owns the order of the system calls, which socketd/programs/privileges.py has too. Must not know users by
 * name: the master has looked them up for the plan.
 */
#ifndef SOCKETD_PRIVILEGES_H
#define SOCKETD_PRIVILEGES_H

#include "plan.h"

/* Apply to this process what the plan says, but for the limits on processor time: of those only the
 * hard one is raised where it must be. `ruleset` is the descriptor of what it may reach, if the plan
 * has that. Returns NULL, or what could not be done, with errno set. */
const char *privileges_apply(const struct plan *plan, int ruleset);

#endif
