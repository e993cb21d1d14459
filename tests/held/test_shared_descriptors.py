"""What else a program can have open, or mapped: a copy has its own, or the program is not held."""

import contextlib
import os
import shlex
import shutil
import socket
import sys
from pathlib import Path

import pytest

from harness.clients import connect, exchange, exchange_at_once

from .conftest import Compile, Start, ready, reason, reason_at_load
from .sources import program

pytestmark = pytest.mark.slow

CTYPES = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def check(result):
    assert result >= 0, os.strerror(ctypes.get_errno())
    return result
"""
ASK = "\nprint(input())\n"


def python(code: str, *arguments: str) -> list[str]:
    """Return the command of a script that can call libc, and then reads a line."""
    return [sys.executable, "-c", CTYPES + code + ASK, *arguments]


EVENTS = "it has {} open, which copies would share"
MEMORY = "it shares memory with others ({}; see --shared-files)"

# What a program does before it reads, and why it is not held then.
SHARED = {
    "inotify": (python("check(libc.inotify_init1(0))"), EVENTS.format("an inotify descriptor")),
    "fanotify": (
        python("check(libc.fanotify_init(0x200, 0))"),
        EVENTS.format("a fanotify descriptor"),
    ),
    "signalfd": (
        python("check(libc.signalfd(-1, ctypes.create_string_buffer(128), 0))"),
        EVENTS.format("a signalfd"),
    ),
    "pidfd": (python("os.pidfd_open(os.getpid())"), EVENTS.format("a pidfd")),
    "userfaultfd": (
        python("check(libc.syscall({'aarch64': 282}.get(os.uname().machine, 323), 0))"),
        EVENTS.format("a userfaultfd"),
    ),
    "own entries of /proc": (
        ["bash", "-c", "exec 3</proc/self/status; read line; echo $line"],
        "open, which tells of the template alone",
    ),
    "here string": (
        ["bash", "-c", "exec 3<<<text; read line; echo $line"],
        "it has one end of a pipe open, which copies would share",
    ),
    "pipe with something in it": (
        ["perl", "-e", "pipe R, W; syswrite W, 'a'; print scalar <STDIN>"],
        "it has something in a pipe of its own, which only one copy could have",
    ),
    "named pipe": (
        ["bash", "-c", "exec 4<>$1; exec 3<$1; exec 4>&-; read line; echo $line", "-", "FIFO"],
        "it has one end of a pipe open, which copies would share",
    ),
    "message queue": (
        python(
            "librt = ctypes.CDLL('librt.so.1', use_errno=True)\n"
            "name = b'/' + str(os.getpid()).encode()\n"
            "check(librt.mq_open(name, os.O_RDONLY | os.O_CREAT, 0o600, None))\n"
            "check(librt.mq_unlink(name))"
        ),
        "it has a message queue open, of which each message would go to one copy only",
    ),
    "connection": (
        ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/PORT; read line; echo $line"],
        "it has a connection of its own open (a socket), which copies would share",
    ),
    "datagrams": (
        ["logger", "-s", "-n", "127.0.0.1", "-P", "PORT", "--udp"],
        "it has a connection of its own open (a socket), which copies would share",
    ),
    "socketpair": (
        python("import socket; pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)"),
        "it has a connection of its own open (a socket), which copies would share",
    ),
    "memory": (
        python("import mmap; memory = mmap.mmap(-1, 4096)"),
        MEMORY.format("/dev/zero (deleted)"),
    ),
    "memfd": (
        python(
            "import mmap; fd = os.memfd_create('some'); os.truncate(fd, 4096)\n"
            "memory = mmap.mmap(fd, 4096, mmap.MAP_SHARED, mmap.PROT_READ); os.close(fd)"
        ),
        "/memfd:some (deleted) open for writing",  # mmap keeps a duplicate
    ),
    "memory of System V": (
        python(
            "libc.shmat.restype = ctypes.c_void_p\n"
            "number = check(libc.shmget(0, 4096, 0o600))\n"
            "libc.shmat(number, None, 0)\n"
            "check(libc.shmctl(number, 0, None))"
        ),
        MEMORY.format("/SYSV00000000 (deleted)"),
    ),
    "semaphore": (
        python(
            "pthread = ctypes.CDLL('libpthread.so.0', use_errno=True)\n"
            "pthread.sem_open.restype = ctypes.c_void_p\n"
            "name = b'/' + str(os.getpid()).encode()\n"
            "assert pthread.sem_open(name, os.O_CREAT, 0o600, 1)\n"
            "check(pthread.sem_unlink(name))"
        ),
        "it shares memory with others (/dev/shm/sem.",
    ),
    "cache of php": (
        [
            *("php", "-d", "opcache.enable_cli=1", "-d", "default_socket_timeout=-1"),
            *("-r", "echo fgets(STDIN);"),
        ],
        "/tmp/.ZendSem.",
    ),
    "lock of an open file": (
        python(
            "import fcntl, struct; f = open(sys.argv[1], 'a')\n"
            "fcntl.fcntl(f, fcntl.F_OFD_SETLK, struct.pack('hhlli4x', 1, 0, 0, 0, 0))",
            "FILE",
        ),
        "it holds a lock on ",
    ),
}


@pytest.mark.parametrize("name", SHARED)
def test_program_with_what_copies_would_share_is_not_held_there(
    start: Start, tmp_path: Path, name: str
) -> None:
    """Each would believe that it has it alone; the client of each is answered all the same."""
    words, why = SHARED[name]
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    if name in ("fanotify", "userfaultfd") and os.geteuid() != 0:
        pytest.skip("needs root")
    if name == "named pipe":
        os.mkfifo(tmp_path / "FIFO")
    (tmp_path / "FILE").touch()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        known = {one: str(tmp_path / one) for one in ("FIFO", "FILE")}
        command = shlex.join(known.get(word, word).replace("PORT", port) for word in words)
        assert why in reason_at_load(start("read", command, is_quiet=False))


def test_memory_may_be_shared_by_who_allows_it(start: Start) -> None:
    """As files may."""
    command = shlex.join(python("import mmap; memory = mmap.mmap(-1, 4096)"))
    server = start("read!", command, "--shared-files", "allow")

    assert exchange(server.place, b"a\n") == b"a\n"


def test_way_to_the_log_is_shared(start: Start, tmp_path: Path) -> None:
    """Each message goes whole into it, and nothing comes back."""
    path = str(tmp_path / "log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(path)
        log.settimeout(10)
        server = start("read!", f"logger --socket {path} --tag it --id")

        exchange_at_once(server.place, [b"line %d\n" % number for number in range(5)])
        found = [log.recv(1000) for _ in range(5)]

    assert sorted(line[-1:] for line in found) == [b"0", b"1", b"2", b"3", b"4"]
    assert ready(server) == "read"


def test_copies_wake_nobody_but_themselves(start: Start) -> None:
    """Ruby has descriptors for that from its start; copies have them with the same numbers."""
    if shutil.which("ruby") is None:
        pytest.skip("ruby is not installed")
    code = (
        "STDIN.gets; puts Dir.children('/proc/self/fd').map(&:to_i).sort.map { |n| "
        'File.read("/proc/self/fdinfo/#{n}")[/eventfd-id:\\s*(\\d+)/, 1] rescue nil }.compact.'
        "join(' '); STDOUT.flush; STDIN.gets"
    )
    server = start("read!", shlex.join(["ruby", "-e", code]), "-W", "3")

    with contextlib.ExitStack() as stack:  # the number of one that has gone is given again
        connections = [stack.enter_context(connect(server.place)) for _ in range(3)]
        for connection in connections:
            connection.sendall(b"\n")
        files = [stack.enter_context(connection.makefile("rb")) for connection in connections]
        answers = [file.readline().split() for file in files]

    ids = [number for answer in answers for number in answer]
    assert len(answers[0]) > 0
    assert len(set(ids)) == len(ids)


# Two event descriptors, one of them a semaphore, each with a duplicate, and a pipe. What a copy
# writes to one end it finds at the other, and nobody else does.
ENDS = r"""
    int plain = eventfd(3, EFD_NONBLOCK), counted = eventfd(2, EFD_SEMAPHORE | EFD_CLOEXEC);
    int ends[2], other = dup(plain), last = dup(counted), line[2];
    uint64_t value = 1; char c;
    pipe2(ends, O_NONBLOCK);
    fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
    line[0] = dup(ends[0]);
    write(plain, &value, 8);
    read(0, &c, 1);
    write(ends[1], &c, 1);
    usleep(100000); /* all others have written, too */
    printf("%zd", read(line[0], &c, 1));
    printf("%c %zd", c, read(ends[0], &c, 1));
    read(other, &value, 8);
    printf(" %d", (int)value);
    printf(" %zd", read(plain, &value, 8));
    read(last, &value, 8);
    printf(" %d", (int)value);
    read(counted, &value, 8);
    printf(" %d %d", (int)value, poll(&(struct pollfd){last, POLLIN, 0}, 1, 0));
    printf(" %d %d", fcntl(counted, F_GETFD), fcntl(last, F_GETFD));
    printf(" %d", fcntl(ends[1], F_GETPIPE_SZ));
"""
INCLUDED = "#include <sys/eventfd.h>\n#include <stdint.h>\n#include <poll.h>\n#include <fcntl.h>\n"


def test_each_copy_has_its_ends_as_they_were(start: Start, compile_c: Compile) -> None:
    """What was counted, how, duplicates, flags, the size of a pipe."""
    server = start("read!", compile_c(INCLUDED + program(ENDS)), "-W", "5")

    answers = exchange_at_once(server.place, [b"%d" % number for number in range(5)])

    assert answers == [b"1%d -1 4 -1 1 1 0 1 0 1048576" % number for number in range(5)]


def test_copies_read_a_folder_each_from_where_it_was(start: Start, tmp_path: Path) -> None:
    """A folder has a position as a file has."""
    names = [f"name{number}" for number in range(20)]
    for name in names:
        (tmp_path / name).touch()
    code = 'opendir D, $ARGV[0]; <STDIN>; print join " ", sort readdir D'
    server = start("read!", shlex.join(["perl", "-e", code, str(tmp_path)]))

    answers = exchange_at_once(server.place, [b"\n"] * 4)

    assert [answer.decode().split() for answer in answers] == [[".", "..", *sorted(names)]] * 4


def test_program_whose_copies_could_not_open_its_file_is_not_held_there(
    start: Start, tmp_path: Path
) -> None:
    """It was somebody else when it opened it; copies would move each other's position."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    (tmp_path / "file").write_text("a\nb\n")
    (tmp_path / "file").chmod(0o600)
    code = "open F, $ARGV[0]; ($<, $>) = (65534, 65534); <STDIN>; print <F>"
    server = start("read", shlex.join(["perl", "-e", code, str(tmp_path / "file")]), is_quiet=False)

    assert exchange_at_once(server.place, [b"\n"] * 3) == [b"a\nb\n"] * 3
    assert reason(server) == "it has a file open that its copies could not open"
