"""`socketd import`: files, folders and what is said of them."""

import os
import tomllib
from pathlib import Path

import pytest

from harness.supervisors import run_socketd
from socketd.drafts.source import MOST_BYTES
from socketd.errors import ExitCode

pytestmark = pytest.mark.slow
XINETD = Path("/etc/xinetd.conf")
LINE = "finger stream tcp nowait nobody /bin/cat cat\n"
ENTRY = "service {}\n{{\n socket_type = stream\n wait = no\n user = root\n server = /bin/cat\n}}\n"


def test_what_debian_ships_is_translated() -> None:
    """Each of its services is in the result, all of them off, and none broken."""
    if not XINETD.exists():
        pytest.skip("xinetd is not installed")
    outcome = run_socketd("import", str(XINETD))

    assert outcome.status == 0
    assert outcome.stderr.startswith("socketd: services taken over: 0, off: 3, not to be had here:")
    assert '# listen = "tcp:0.0.0.0:echo"\n# program = ["cat"]\n' in outcome.stdout
    assert "\n# servers: not here: `socketd status` shows who is served\n" in outcome.stdout
    assert tomllib.loads(outcome.stdout) == {}


def test_result_is_checked_without_a_mistake(tmp_path: Path) -> None:
    """Folders are read in the order of their names, without backups, each file once."""
    folder, result = tmp_path / "xinetd.d", tmp_path / "out.toml"
    folder.mkdir()
    (folder / "b").write_text(ENTRY.format("daytime") + f"includedir {folder}\n")
    (folder / "a").write_text(ENTRY.format("finger"))
    (folder / "a.bak").write_text("nonsense")
    (folder / "c~").write_text("nonsense")
    file = tmp_path / "xinetd.conf"
    file.write_text(f"includedir {folder}\n")

    outcome = run_socketd("import", str(file), "-o", str(result))

    assert outcome.stderr == (
        "socketd: services taken over: 2, off: 0, not to be had here: 0; remarks: 0; each is a "
        f"comment in what was written; next: socketd check {result}\n"
    )
    assert list(tomllib.loads(result.read_text())["service"]) == ["finger", "daytime"]
    assert run_socketd("check", str(result)).status == 0


def test_nothing_is_overwritten_unless_that_is_wanted(tmp_path: Path) -> None:
    """A file that is there may be somebody's."""
    file, result = tmp_path / "inetd.conf", tmp_path / "out.toml"
    file.write_text(LINE)
    result.write_text("mine")
    arguments = ("import", str(file), "-o", str(result))

    refused = run_socketd(*arguments)

    assert refused.status == ExitCode.USAGE
    assert refused.stderr.endswith(
        "is there already: give --force to replace it, or another path\n"
    )
    assert result.read_text() == "mine"
    assert run_socketd(*arguments, "--force").status == 0
    assert "[service.finger]" in result.read_text()
    assert sorted(os.listdir(tmp_path)) == ["inetd.conf", "out.toml"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"a b c\n", "inetd.conf:1: found 'a b c', 3 fields in place of"),
        (b"#\xff\na \xff\n", "inetd.conf: line 2 is no text in UTF-8"),
        (b"#" * (MOST_BYTES + 1), f"cannot be read: it has more than the {MOST_BYTES} bytes"),
        (None, "inetd.conf: cannot be read: No such file or directory"),
    ],
)
def test_mistake_is_one_line(tmp_path: Path, content: bytes | None, why: str) -> None:
    """And nothing is printed of a file that was not understood."""
    file = tmp_path / "inetd.conf"
    if content is not None:
        file.write_bytes(content)

    outcome = run_socketd("import", str(file))

    assert (outcome.status, outcome.stdout) == (ExitCode.CONFIGURATION, "")
    assert outcome.stderr.startswith(f"socketd: {tmp_path}")
    assert why in outcome.stderr
    assert outcome.stderr.count("\n") == 1


def test_comment_in_any_encoding_is_no_mistake(tmp_path: Path) -> None:
    """Old files have names of people in Latin-1."""
    file = tmp_path / "inetd.conf"
    file.write_bytes(b"# \xe9\n" + LINE.encode())

    assert run_socketd("import", str(file)).status == 0


def test_fifo_is_not_waited_for(tmp_path: Path) -> None:
    """A stranger's path may be anything."""
    os.mkfifo(tmp_path / "inetd.conf")

    outcome = run_socketd("import", str(tmp_path / "inetd.conf"))

    assert outcome.stderr.endswith("cannot be read: it is no regular file\n")


def test_kind_may_be_said(tmp_path: Path) -> None:
    """Where a file looks like neither."""
    file = tmp_path / "empty"
    file.write_text("nonsense\n")

    assert "in place of service NAME" in run_socketd("import", "--from", "xinetd", str(file)).stderr
    assert "1 fields in place" in run_socketd("import", "--from", "inetd", str(file)).stderr
