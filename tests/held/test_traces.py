"""What a program can see of itself, held before main() and executed for its connection."""

import re
import socket

import pytest

from harness.clients import connect, read_all
from harness.native import NATIVE
from harness.sanitized import IS_WANTED
from harness.servers import Server

from .conftest import ON_A_SHORTCUT, Compile, Start
from .sources import program

pytestmark = pytest.mark.slow

# A line for each thing that it finds: a name, and what is there. A program may find out more, but
# nothing else that the kernel or libc would tell of its start and its surroundings.
HEAD = r"""
#include <dirent.h>
#include <dlfcn.h>
#include <link.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>

extern char **environ;

static void show(const char *name, const char *path)
{
    static char text[1 << 20];
    int fd = open(path, O_RDONLY);
    long count, size = 0;

    while (fd >= 0 && (count = read(fd, text + size, sizeof text - 1 - size)) > 0)
        size += count;
    close(fd);
    printf("%s ", name);
    for (long i = 0; i < size; i++)
        if (text[i] == '\n' && i + 1 < size)
            printf("\n%s ", name);
        else if (text[i] == '\0')
            fputs("\\0", stdout);
        else if (text[i] != '\n')
            putchar(text[i]);
    puts("");
}

static void show_link(const char *name, const char *path)
{
    char target[4096] = "";

    readlink(path, target, sizeof target - 1);
    printf("%s %s\n", name, target);
}

static void show_mappings(void)
{
    char line[8192], name[4096];
    FILE *file = fopen("/proc/self/maps", "r");

    while (fgets(line, sizeof line, file))
        if (sscanf(line, "%*s %*s %*s %*s %*s %4095s", name) == 1)
            printf("mapping %s\n", name);
        else if (strstr(line, " ---p "))
            puts("mapping without access");
    fclose(file);
}

static void show_flags(void) /* PF_FORKNOEXEC: it has not been executed since a fork */
{
    char text[4096] = "";
    unsigned flags = 0;
    FILE *file = fopen("/proc/self/stat", "r");

    fgets(text, sizeof text, file);
    fclose(file);
    sscanf(strrchr(text, ')'), ") %*c %*d %*d %*d %*d %*d %u", &flags);
    printf("flags %#x\n", flags & 0x40);
}

static void show_auxiliary(const char *what, unsigned long type, unsigned long value)
{
    switch (type) {
    case AT_PHDR: case AT_BASE: case AT_ENTRY: case AT_RANDOM: case AT_SYSINFO_EHDR:
    case 27: case 28: /* of rseq */
        printf("%s %lu %s\n", what, type, value ? "somewhere" : "nowhere");
        break;
    case AT_PLATFORM: case AT_EXECFN:
        printf("%s %lu %s\n", what, type, (char *)value);
        break;
    default:
        printf("%s %lu %#lx\n", what, type, value);
    }
}

static void show_auxiliaries(void)
{
    unsigned long pair[2];
    FILE *file = fopen("/proc/self/auxv", "r");

    while (fread(pair, sizeof pair, 1, file) == 1)
        show_auxiliary("auxv", pair[0], pair[1]);
    fclose(file);
    for (unsigned long type = 1; type < 64; type++)
        show_auxiliary("getauxval()", type, getauxval(type));
}

static int show_object(struct dl_phdr_info *object, size_t size, void *nothing)
{
    printf("dl_iterate_phdr() %s\n", object->dlpi_name);
    return 0;
}

static void show_function(const char *name)
{
    Dl_info found = {0};

    dladdr(dlsym(RTLD_DEFAULT, name), &found);
    printf("dlsym(%s) %s\n", name, found.dli_fname);
}

static void show_descriptors(void)
{
    for (int fd = 0; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            printf("descriptor %d %d %#o\n", fd, fcntl(fd, F_GETFD), fcntl(fd, F_GETFL));
}

static void show_process(void)
{
    int signal_number = -1, *thread = 0;
    struct itimerval timer;
    stack_t stack;
    struct sigaction action;
    struct rlimit limit;

    prctl(PR_GET_PDEATHSIG, &signal_number);
    prctl(PR_GET_TID_ADDRESS, &thread);
    getitimer(ITIMER_REAL, &timer);
    sigaltstack(0, &stack);
    printf("prctl %d %d %d %d %d %d %ld\n", signal_number, prctl(PR_GET_DUMPABLE),
           prctl(PR_GET_KEEPCAPS), prctl(PR_GET_SECUREBITS), prctl(PR_GET_TIMERSLACK),
           prctl(PR_GET_CHILD_SUBREAPER, &signal_number), (long)signal_number);
    printf("thread %d\n", thread && *thread == getpid());
    printf("group %d %d\n", getpgid(0) == getpid(), getsid(0) == getpid());
    printf("scheduler %d %d\n", sched_getscheduler(0), getpriority(PRIO_PROCESS, 0));
    printf("timer %ld %ld\n", timer.it_value.tv_sec, timer.it_interval.tv_sec);
    printf("stack %d\n", stack.ss_flags);
    printf("umask %o\n", umask(0));
    for (int number = 1; number < 65; number++)
        if (syscall(SYS_rt_sigaction, number, 0, &action, 8) == 0)
            printf("signal %d %d\n", number, action.sa_handler != SIG_DFL);
    for (int what = 0; what < RLIM_NLIMITS; what++)
        if (getrlimit(what, &limit) == 0)
            printf("getrlimit() %d %ld %ld\n", what, (long)limit.rlim_cur, (long)limit.rlim_max);
}
"""
BODY = r"""
char **entries = &words[count + 1];

for (int i = 0; i < count; i++) printf("argument %s\n", words[i]);
for (char **one = environ; *one; one++) printf("environ %s\n", *one);
printf("array %s\n", environ == entries ? "behind the arguments" : "elsewhere");
show_link("exe", "/proc/self/exe"); show_link("cwd", "/proc/self/cwd");
show_link("root", "/proc/self/root");
show("cmdline", "/proc/self/cmdline"); show("comm", "/proc/self/comm");
show("/proc/PID/environ", "/proc/self/environ"); show("limits", "/proc/self/limits");
show("status", "/proc/self/status"); show("personality", "/proc/self/personality");
show("oom", "/proc/self/oom_score_adj"); show("dump", "/proc/self/coredump_filter");
show("cgroup", "/proc/self/cgroup"); show("slack", "/proc/self/timerslack_ns");
show("login", "/proc/self/loginuid");
show_mappings(); show_flags(); show_auxiliaries(); show_descriptors(); show_process();
dl_iterate_phdr(show_object, 0);
char *names[] = {"execve", "execv", "execvp", "execvpe", "execl", "execlp", "execle", "fexecve",
    "getpeername", "getsockname", "getsockopt", "setsockopt", "posix_spawn", "fork", "vfork",
    "setenv", "getenv", "read", "poll", "sigaction", "pthread_atfork", "exit"};
for (unsigned i = 0; i < sizeof names / sizeof *names; i++) show_function(names[i]);
fflush(stdout);
"""
SEED = r"""
unsigned char *seed = (unsigned char *)getauxval(AT_RANDOM);
for (int i = 0; i < 16; i++) printf("%02x", seed[i]);
"""

# Of two processes they are different in any case.
_OF_A_PROCESS = re.compile(r"status (?:Tgid|Pid|PPid|NS\w+|Vm\w+|Rss\w+|SigQ|\w*ctxt_switches):")
_DOCUMENT = NATIVE.parent / "docs" / "templates.md"


def told(server: Server) -> dict[str, list[str]]:
    """Return what a program tells of itself, by its first word."""
    with connect(server.place) as connection:
        connection.shutdown(socket.SHUT_WR)
        text = read_all(connection).decode()
        ports = (str(connection.getsockname()[1]), str(server.place[1]))
    found: dict[str, list[str]] = {}
    for line in text.replace(server.mark, "MARK").splitlines():
        if _OF_A_PROCESS.match(line):
            continue
        name, _, value = line.partition(" ")
        for port in ports:
            value = re.sub(rf"(PORT=){port}\b", r"\1PORT", value)
        value = re.sub(r"(UNIQUE_ID=)[-0-9A-Za-z_]+", r"\1ID", value)
        found.setdefault(name, []).append(value)
    return found


@ON_A_SHORTCUT
@pytest.mark.skipif(IS_WANTED, reason="a library that checks is seen, too")
def test_what_a_program_sees_at_load_is_what_it_sees_at_fork(
    start: Start, compile_c: Compile
) -> None:
    """But for what the documents say, each with the name by which it is told here."""
    path = compile_c(program(BODY, HEAD))
    command = f"{path} one 'two words'"
    executed, held = (told(start(level, command, A="b")) for level in ("fork", "load!"))
    names = [name for name in {**executed, **held} if executed.get(name) != held.get(name)]
    section = _DOCUMENT.read_text().partition("## What can be seen of it at `load`")[2]
    told_of = re.findall(r"^\| `([^`]+)` ", section.partition("\n## ")[0], re.MULTILINE)

    different = {re.sub(r"\(\w+\)", "()", name) for name in names}
    assert different == set(told_of), [(name, executed.get(name), held.get(name)) for name in names]
    ours = set(held["mapping"]) - set(executed["mapping"])
    assert {name.rpartition("/")[2] for name in ours} == {"socketd-hold.so", "without access"}
    variables = "".join(f"{one}\\0" for one in executed["environ"])
    assert executed["/proc/PID/environ"] == [variables]
    base = "".join(f"{one}\\0" for one in held["environ"][:-11])
    assert held["/proc/PID/environ"] == [base]


@pytest.mark.parametrize("level", ["load!", "read!"])
def test_own_preloaded_object_is_what_the_kernel_shows(
    start: Start, compile_c: Compile, level: str
) -> None:
    """What the program's LD_PRELOAD was stands there, and no word of ours."""
    own = compile_c("int own;", "-shared", "-fPIC")
    path = compile_c(program('char c; read(0, &c, 1); show("", "/proc/self/environ");', HEAD))
    server = start(level, path, LD_PRELOAD=own, A="b")
    with connect(server.place) as connection:
        connection.sendall(b"x")
        connection.shutdown(socket.SHUT_WR)
        text = read_all(connection).decode().strip()

    entries = text.split("\\0")
    assert entries.pop() == ""
    assert entries[-1] == f"LD_PRELOAD={own}"
    assert "A=b" in entries
    assert "SOCKETD_HOLD" not in text


@pytest.mark.parametrize("level", ["fork", "load!", "read!"])
def test_random_bytes_of_the_kernel_are_a_copy_s_own(
    start: Start, compile_c: Compile, level: str
) -> None:
    """Who seeds a generator with them has another one in each copy."""
    path = compile_c(program("char c; read(0, &c, 1);" + SEED, "#include <sys/auxv.h>"))
    server = start(level, path)
    seeds = []
    for _ in range(3):
        with connect(server.place) as connection:
            connection.sendall(b"x")
            connection.shutdown(socket.SHUT_WR)
            seeds.append(read_all(connection))

    assert [len(seed) for seed in seeds] == [32] * 3
    assert len(set(seeds)) == 3
