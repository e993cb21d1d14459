"""A process of a service's user that takes whatever descriptors it can get from others."""

import contextlib
import json
import pwd
import subprocess
import sys
from collections.abc import Iterator

USER = "nobody"
# Gets process ids on stdin, one a line: from each it takes what there is, again and again, and what
# waits in the sockets that it has got. Tells all that it has ever had at the end of stdin.
_PROGRAM = r"""
import array, ctypes, json, os, select, socket, stat, sys

uid, gid = map(int, sys.argv[1:])
os.setgroups([])
os.setresgid(gid, gid, gid)
os.setresuid(uid, uid, uid)  # by itself: the interpreter may be one that only root can execute
call = ctypes.CDLL(None, use_errno=True).syscall
loot, sockets, victims, traced = {}, [], [], []

def describe(fd):
    found = os.fstat(fd)
    text = os.readlink(f"/proc/self/fd/{fd}")
    if not stat.S_ISSOCK(found.st_mode):
        return text
    one = socket.socket(fileno=os.dup(fd))
    with one:
        is_listening = one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        if one.family != socket.AF_UNIX:
            return f"{text} inet{' listening' if is_listening else ''}"
        return f"{text} unix{' listening' if is_listening else ''}"

def keep(fd):
    text = describe(fd)
    if text in loot:
        os.close(fd)
        return
    loot[text] = fd
    if text.startswith("socket:"):
        sockets.append(socket.socket(fileno=os.dup(fd)))

def take(pidfd):
    for number in range(256):
        fd = call(438, pidfd, number, 0)
        if fd >= 0:
            keep(fd)

def peek(one):
    flags = socket.MSG_PEEK | socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
    try:
        _, ancillary, _, _ = one.recvmsg(64, 1024, flags)
    except OSError:
        return
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds = array.array("i")
            fds.frombytes(content[: len(content) // 4 * 4])
            for fd in fds:
                keep(fd)

print("ready", flush=True)
while True:
    if select.select([0], [], [], 0)[0]:
        word = os.read(0, 64).decode().split()
        if not word:
            break
        if word[0] == "trace":
            result = call(101, 0x4206, int(word[1]), 0, 0)  # PTRACE_SEIZE
            if result == 0:
                traced.append(int(word[1]))
            print("traced" if result == 0 else "refused", flush=True)
        else:
            victims.append(os.pidfd_open(int(word[1])))
            take(victims[-1])
            print("taken", flush=True)
    for pidfd in victims:
        take(pidfd)
    for pid in list(traced):
        found, status = os.waitpid(pid, os.WNOHANG)
        if found and os.WIFSTOPPED(status):
            call(101, 7, pid, 0, os.WSTOPSIG(status))  # PTRACE_CONT
        elif found:
            traced.remove(pid)
    for one in sockets:
        peek(one)
print(json.dumps(sorted(loot)), flush=True)
"""


class Thief:
    """It runs until it is asked what it has got."""

    def __init__(self, user: str = USER) -> None:
        entry = pwd.getpwnam(user)
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _PROGRAM, str(entry.pw_uid), str(entry.pw_gid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
        )
        assert self._answer() == "ready"

    def rob(self, pid: int) -> None:
        """Have it begin to take from a process."""
        assert self._ask(f"rob {pid}") == "taken"

    def trace(self, pid: int) -> bool:
        """Have it attach to a process; tell whether it may."""
        return self._ask(f"trace {pid}") == "traced"

    def confess(self) -> list[str]:
        """Let it end; return what it has ever had."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        found: list[str] = json.loads(self._answer())
        return found

    def close(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()

    def _ask(self, question: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{question}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextlib.contextmanager
def thief() -> Iterator[Thief]:
    """Have a thief around for a while."""
    one = Thief()
    try:
        yield one
    finally:
        one.close()
