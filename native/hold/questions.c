/*
 * What a program would be told about its connection before there is one: the socket that stands for
 * it has the master at its other end. A program that believes that lets in or sends away every later
 * client as if it were us, and writes a wrong address into its log. So one that asks goes no further
 * than its question: it stops here, and its name as a process says what it has asked. The master
 * looks at that name (socketd/workers/holdable.py) and ends it.
 *
 * Only the library's functions can be replaced. Who makes the system call itself is not seen, nor a
 * child that asks for its parent.
 */
#include "call.h"
#include "environment.h"
#include "front/names.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define VISIBLE __attribute__((visibility("default")))
#define QUESTION "socketd?"

static bool is_early(void)
{
    return call_is_waiting() && call.first.level != LEVEL_LOAD &&
           syscall(SYS_gettid) == call.process; /* a thread has a name of its own */
}

/* The master has made the pair of which the program has one end. */
static bool is_stand_in(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;

    return syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           size == sizeof peer && peer.pid == call.first.master;
}

static _Noreturn void wait_for_end(const char *question)
{
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    prctl(PR_SET_NAME, question);
    for (;;)
        pause();
}

/* bash asks at its start whether its input is a connection, and does not look at what it is told. */
static bool is_only_a_test(const void *caller)
{
    Dl_info place;

    return dladdr(caller, &place) && place.dli_sname && strcmp(place.dli_sname, "isnetconn") == 0;
}

VISIBLE int getpeername(int fd, struct sockaddr *restrict address, socklen_t *restrict size)
{
    if (is_early() && is_stand_in(fd) && !is_only_a_test(__builtin_return_address(0)))
        wait_for_end(QUESTION "peer");
    return (int)syscall(SYS_getpeername, fd, address, size);
}

VISIBLE int getsockname(int fd, struct sockaddr *restrict address, socklen_t *restrict size)
{
    if (is_early() && is_stand_in(fd))
        wait_for_end(QUESTION "own");
    return (int)syscall(SYS_getsockname, fd, address, size);
}

/* What is the same for every stream, and what somebody has set, may be asked for. */
static bool is_about_client(int level, int option)
{
    if (level != SOL_SOCKET)
        return true;
    switch (option) {
    case SO_DOMAIN:
    case SO_PROTOCOL:
    case SO_PEERCRED:
    case SO_PEERSEC:
#ifdef SO_PEERGROUPS
    case SO_PEERGROUPS:
#endif
        return true;
    default:
        return false;
    }
}

VISIBLE int getsockopt(int fd, int level, int option, void *restrict value,
                       socklen_t *restrict size)
{
    if (is_about_client(level, option) && is_early() && is_stand_in(fd))
        wait_for_end(QUESTION "option");
    return (int)syscall(SYS_getsockopt, fd, level, option, value, size);
}

/* The socket would refuse what a real connection takes, and a program that hears that may give up, or
 * never try again. What it takes is carried over (options.c). */
VISIBLE int setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
    if (level != SOL_SOCKET && is_early() && is_stand_in(fd))
        wait_for_end(QUESTION "set");
    return (int)syscall(SYS_setsockopt, fd, level, option, value, size);
}

/* What a request sets, as far as a program can be asking for that and nothing else. */
static bool is_of_request(const char *name)
{
    static const char *const usual[] = {
        "DOCUMENT_ROOT", "DOCUMENT_URI", "HTTPS", "REQUEST_SCHEME", "REQUEST_URI", "SCRIPT_FILENAME",
    };
    const size_t length = strlen(name);

    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (strcmp(name, usual[i]) == 0)
            return true;
    return names_is_standard(name, length) && names_judge(NULL, name, length) == NAMES_TAKEN;
}

/* secure_getenv() is the same but for programs with more rights than who has started them, into
 * which nothing is preloaded. To look for the library's own with dlsym() would not do: that
 * allocates, and an allocator asks for its settings here. Libraries ask when they are loaded, which is
 * before the address sanitizer is ready. */
__attribute__((no_sanitize_address)) VISIBLE char *getenv(const char *name)
{
    if (call.is_open &&
        (environment_is_of_connection(name) || (call.first.has_front && is_of_request(name))) &&
        is_early())
        wait_for_end(QUESTION "env");
    return secure_getenv(name);
}
