/*
 * The terms of a service: what copies have to know of its plan.
 *
 * Owns what of the plan stays in the program. Must not know what a copy does with it.
 */
#ifndef SOCKETD_TERMS_H
#define SOCKETD_TERMS_H

#include "fastcgi/service.h"
#include "front/carry.h"
#include "front/farewell.h"
#include "front/front.h"

#include <sys/resource.h>

struct terms {
    struct front front;
    struct service service; /* without a name where no FastCGI is spoken */
    struct farewell linger; /* all zero: no keeper stays behind a copy that needs none */
    enum carry_watch watch; /* what becomes of a copy whose client has gone */
    int kill_ms;
    const char *own_path; /* of a program that requests name; NULL for any other */
    const struct rlimit *cpu_limit; /* of each copy; NULL: it has that of its template */
};

/* Take them out of the plan that a descriptor leads to, which is closed. They stay where they are. Returns
 * NULL, or what is wrong with it. */
const char *terms_take(struct terms *terms, int plan_fd);

#endif
