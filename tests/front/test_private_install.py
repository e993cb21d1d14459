"""A script that is prepared by a file of ours, where its Python or its user cannot find ours."""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import scgi
from socketd.errors import ExitCode
from socketd.system.products import PACKAGE, is_built

from .conftest import Start

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not is_built(), reason="the native worker was not built: no C compiler"),
]
PAGE = "#!{python}\nprint('Content-Type: text/plain\\n\\nhere')\n"
# Of no environment, so it does not have our package.
FOREIGN = os.path.realpath(sys.executable)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder that every user can enter, unlike those of pytest."""
    with tempfile.TemporaryDirectory(prefix="socketd-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_python_without_our_package_prepares_a_script_all_the_same(
    start: Start, tmp_path: Path
) -> None:
    """The Python on PATH mostly is the system's, and socketd is in an environment of its own."""
    page = tmp_path / "page.py"
    page.write_text(PAGE)
    command = f"{shlex.quote(FOREIGN)} -m socketd.hold --cgi {page}"

    server = start("--ready", "stop!", "-p", command)

    assert b"here" in scgi.ask(server.place, scgi.request())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change user")
@pytest.mark.parametrize("private", ["package", "script"])
def test_what_the_user_cannot_read_is_told_at_the_start(folder: Path, private: str) -> None:
    """A service that came up would answer nothing: the user could not read what it runs."""
    page, copied = folder / "page.py", folder / "lib"
    page.write_text(PAGE.format(python="/usr/bin/env python3"))
    page.chmod(0o755 if private == "package" else 0o711)
    shutil.copytree(PACKAGE, copied / "socketd", ignore=shutil.ignore_patterns("*.pyc"))
    copied.chmod(0o700 if private == "package" else 0o755)
    command = [sys.executable, "-m", "socketd", "cgi", "--scgi", "127.0.0.1:0"]

    done = subprocess.run(
        [*command, "--user", "nobody", str(page)],
        env={"PATH": f"{os.path.dirname(FOREIGN)}:/usr/bin:/bin", "PYTHONPATH": str(copied)},
        cwd=folder,  # where no other copy of the package is
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )

    unread = copied / "socketd" / "hold.py" if private == "package" else page
    assert done.stderr.startswith(f"socketd: cannot read '{unread}' as user 'nobody': Permission ")
    assert ("install socketd where that user can read it" in done.stderr) == (private == "package")
    assert (done.stderr.count("\n"), done.returncode) == (1, ExitCode.SYSTEM)
