/*
 * The program may open a connection to a database there, or start a thread or another program: what
 * that inherits should be what the program's own would, so our handler's mask, in which all signals are
 * blocked, is not in force.
 */
#include "hooks.h"

#include "python.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

static void (*function)(void);

void hooks_find(void)
{
    void *symbol = dlsym(RTLD_DEFAULT, "socketd_hold_after_fork");

    memcpy(&function, &symbol, sizeof function);
}

void hooks_call(const sigset_t *mask)
{
    sigset_t before;

    sigprocmask(SIG_SETMASK, mask, &before);
    if (function)
        function();
    python_call_hooks();
    sigprocmask(SIG_SETMASK, &before, NULL);
}
