"""Files that a program writes to, and locks: each copy would take them for its own."""

import shlex
import shutil
import sys
from pathlib import Path

import pytest

from harness.clients import exchange

from .conftest import Start, ready, reason, reason_at_load

pytestmark = pytest.mark.slow

SHELL = "exec 3<>$1; read line; echo $line >&3; echo $line"
PERL = "open F, q(+>), $ARGV[0]; $_ = <STDIN>; print F; print"
LOCKED = "import fcntl, sys; f = open(sys.argv[1]); fcntl.lockf(f, fcntl.LOCK_SH); print(input())"
TIMER = """
import ctypes, os
assert ctypes.CDLL(None).timerfd_create(1, 0) > 2
print(input())
"""

# What has a file of its own open before it reads, with FILE in place of the path; and the reason.
WRITERS = {
    "bash": (["bash", "-c", SHELL, "bash", "FILE"], "open for writing"),
    "perl": (["perl", "-e", PERL, "FILE"], "open for writing"),
    "tee": (["tee", "FILE"], "open for writing"),
    "flock": (["flock", "-F", "FILE", "cat"], "holds a lock on"),
    "python": ([sys.executable, "-c", LOCKED, "FILE"], "lock on"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_program_with_a_file_open_for_writing_or_a_lock_is_not_held_there(
    start: Start, tmp_path: Path, name: str
) -> None:
    """All copies would write at one position, or have one lock, or none."""
    words, why = WRITERS[name]
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    path = tmp_path / "file"
    path.write_text("")
    command = shlex.join(str(path) if word == "FILE" else word for word in words)
    told = reason_at_load(start("read", command, is_quiet=False))
    assert why in told
    assert f"{path} " in told

    allowed = start("read!", command, "--shared-files", "allow")

    assert ready(allowed) == "read"


def test_file_that_is_only_appended_to_is_no_reason(start: Start, tmp_path: Path) -> None:
    """Each write goes to the end, whoever writes."""
    path = tmp_path / "log"
    server = start("read!", f"tee -a {path}")

    assert [exchange(server.place, word) for word in (b"a\n", b"b\n")] == [b"a\n", b"b\n"]
    assert path.read_text() == "a\nb\n"


def test_timer_that_is_a_descriptor_is_not_held(start: Start) -> None:
    """Copies would share it, whatever is allowed for files."""
    command = shlex.join([sys.executable, "-c", TIMER])
    server = start("read", command, "--shared-files", "allow", is_quiet=False)

    assert exchange(server.place, b"a\n") == b"a\n"
    assert reason(server) == "it has a timer (timerfd) open, which copies would share"
