"""A machine of its own for a tree of Debian: systemd as process 1 in namespaces, and no emulator.

Owns how it starts and how it ends. What is written there goes into a layer above the tree, which
is thrown away with the machine. Must not know what is tried on it.

Its control groups are of version 2 in any case, which is all that systemd asks for: those may be
mounted here too where everything else uses version 1. It has a network of its own, with nothing
but the loopback.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SECONDS = 120.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_HALT_SIGNAL = 37  # systemd(1): SIGRTMIN+3
# The folder of a group is named first, since a machine is not to see the groups around it.
_ENTER = """
echo $$ >"$1/cgroup.procs"
shift
exec unshare --mount --pid --net --ipc --uts --cgroup --propagation private \
    --fork --kill-child -- "$@"
"""
# Mounts are those of the new namespace only. What belongs to the kernel is read only, and its clock
# and modules are not to be touched: that kernel is ours. The console is silent: nobody logs in.
_BEGIN = """
set -e
root=$1/root
mount -t overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" overlay "$root"
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=0755 tmpfs "$root/dev"
cd "$root/dev"
mknod -m 666 null c 1 3
mknod -m 666 console c 1 3
mknod -m 666 zero c 1 5
mknod -m 666 full c 1 7
mknod -m 666 random c 1 8
mknod -m 666 urandom c 1 9
mknod -m 666 tty c 5 0
mkdir pts shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts pts
mount -t tmpfs -o mode=1777 tmpfs shm
ln -s pts/ptmx ptmx
ln -s /proc/self/fd fd
mount -t tmpfs -o mode=0755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
ip link set lo up
hostname machine
cd "$root"
pivot_root . .
umount --lazy .
exec env -i container=namespaces PATH="$3" \
    setpriv --bounding-set=-sys_module,-sys_time /lib/systemd/systemd --unit=multi-user.target
"""


class MachineError(Exception):
    """A machine cannot be had, or a command on it has failed; the text says why."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A running machine; `pid` is its process 1 as seen from here."""

    pid: int

    def command(self, *words: str) -> list[str]:
        """Return a command that does something on it, from here."""
        enter = ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--net", "--ipc", "--uts"]
        clean = ["env", "-i", f"PATH={_PATH}", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8"]
        return [*enter, "--cgroup", "--root", "--wd", *clean, *words]

    def try_out(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Carry out a command on it; what it says is in one text."""
        return subprocess.run(
            self.command(*words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=_SECONDS,
        )

    def run(self, *words: str) -> str:
        """Carry out a command on it, return what it says. Raises MachineError."""
        done = self.try_out(*words)
        if done.returncode != 0:
            raise MachineError(f"{' '.join(words)}: {done.returncode}: {done.stdout.strip()}")
        return done.stdout

    def path(self, name: str) -> Path:
        """Return where a file of it is seen from here."""
        return Path(f"/proc/{self.pid}/root") / name.lstrip("/")


def why_not() -> str | None:
    """Return why there can be no machine here, None if there can."""
    if os.geteuid() != 0:
        return "needs root"
    missing = [name for name in ("ip", "nsenter", "unshare") if shutil.which(name) is None]
    if missing:
        return f"needs the command {missing[0]}"
    return None if _groups() else "needs control groups of version 2"


def _groups() -> Path | None:
    """Return where the groups of version 2 are mounted, None if they are not."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(place)
    return None


@contextlib.contextmanager
def booted(tree: Path) -> Iterator[Machine]:
    """Have a machine that runs a tree, until the end. Raises MachineError."""
    groups = _groups()
    assert groups is not None
    with contextlib.ExitStack() as undo:
        scratch = Path(undo.enter_context(tempfile.TemporaryDirectory(dir=tree.parent)))
        for name in ("root", "upper", "work"):
            (scratch / name).mkdir()
        units = scratch / "upper" / "etc" / "systemd" / "system"
        units.mkdir(parents=True)
        (units / "console-getty.service").symlink_to(os.devnull)
        group = groups / f"machine-{os.getpid()}"
        group.mkdir()
        undo.callback(_remove_group, group)
        begin = ["sh", "-c", _BEGIN, "sh", str(scratch), str(tree), _PATH]
        outer = subprocess.Popen(
            ["sh", "-ec", _ENTER, "sh", str(group), *begin], stdin=subprocess.DEVNULL
        )
        undo.callback(_end, outer)
        machine = Machine(_first_process(outer))
        _wait_until_up(machine, outer)
        yield machine


def _first_process(outer: "subprocess.Popen[bytes]") -> int:
    """Return the process that is number 1 in the machine, as soon as it is systemd."""
    deadline = time.monotonic() + _SECONDS
    children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
    while outer.poll() is None and time.monotonic() < deadline:
        for child in children.read_text().split():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{child}/comm").read_text() == "systemd\n":
                    return int(child)
        time.sleep(0.05)
    raise MachineError("systemd does not start")


def _wait_until_up(machine: Machine, outer: "subprocess.Popen[bytes]") -> None:
    """Wait until everything that belongs to a start is started. Raises MachineError."""
    deadline = time.monotonic() + _SECONDS
    while True:
        # It cannot be asked at once.
        said = machine.try_out("systemctl", "is-system-running", "--wait").stdout.strip()
        if said == "running":
            return
        if said == "degraded":
            said = machine.run("systemctl", "--failed", "--no-legend")
            raise MachineError(f"it has come up with failures: {said}")
        if time.monotonic() > deadline or outer.poll() is not None:
            raise MachineError(f"it does not come up: {said}")
        time.sleep(0.1)


def _end(outer: "subprocess.Popen[bytes]") -> None:
    """Halt a machine, or kill it if that takes too long."""
    try:
        with contextlib.suppress(MachineError):
            os.kill(_first_process(outer), _HALT_SIGNAL)
        outer.wait(_SECONDS)
    except subprocess.TimeoutExpired:
        outer.kill()  # and with it everything there
        outer.wait()


def _remove_group(group: Path) -> None:
    for folder, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):
            Path(folder).rmdir()
