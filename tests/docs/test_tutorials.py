"""The tutorials work: each command that they show is run, on files of a machine of its own.

It has namespaces of its own for mounts, processes and the network, so files are where the page says
and ports are free, and whatever is left ends with it. What systemd does for a unit is done by a
stand-in that starts, reloads and stops what the unit says: no systemd runs there.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.reach import skip_if_out_of_reach
from socketd.system.products import is_built

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
STAND_IN = Path(__file__).with_name("systemctl.py")
PART = re.compile(
    r"^<!-- file: (?P<path>\S+) -->\n```\w*\n(?P<text>.*?)^```$"
    r"|^```console\n(?P<session>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
NEEDED = {
    "cgi": ("nginx", "fcgiwrap", "spawn-fcgi", "curl"),
    "inetd": ("xinetd",),
    "systemd": ("systemd-analyze",),
}
OWN_FOLDERS = "/run /srv /var/log /var/www /usr/local/bin /usr/lib/cgi-bin /etc/xinetd.d"
# unshare(1) ignores what timeout(1) sends otherwise.
OWN_MACHINE = (
    "timeout --signal=KILL 110 unshare --mount --net --pid --fork --kill-child --mount-proc bash -c"
).split()
# What is changed in it may not be changed outside. This project may lie in a folder that is hidden.
BEGIN = f"""
set -u
exec 2>&1
umask 022
cp -a /etc "$1/etc" && mount --bind "$1/etc" /etc
mkdir "$1/project" && mount --rbind "$5" "$1/project"
for folder in {OWN_FOLDERS}; do mkdir -p $folder; mount -t tmpfs -o mode=755 none $folder; done
[ -e "$4" ] || {{ mkdir -p "$5" && mount --rbind "$1/project" "$5"; }}
mkdir -p /var/log/nginx
for name in socketd socket; do ln -s "$2/$name" /usr/local/bin/$name; done
printf '#!/bin/sh\\nexec %s %s "$@"\\n' "$3" "$4" > /usr/local/bin/systemctl
chmod +x /usr/local/bin/systemctl
ip link set lo up
mkdir /srv/here && cd /srv/here && chmod 755 .
export PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
"""
COMMAND = '\necho @@begin\n{}\necho "@@end $?"\n'
FILE = "\nmkdir -p \"$(dirname {0})\"\ncat > {0} <<'@@file'\n{1}@@file\n"


def sessions(page: Path) -> tuple[str, list[tuple[str, str]]]:
    """Return a script of all that a page does, and each command with what it is to print."""
    script, expected = "", []
    for part in PART.finditer(page.read_text()):
        if part["path"]:
            script += FILE.format(part["path"], part["text"])
            continue
        for one in re.split(r"^\$ ", part["session"], flags=re.MULTILINE)[1:]:
            command, _, output = one.partition("\n")
            script += COMMAND.format(command)
            expected.append((command, output))
    return script, expected


def pattern(output: str) -> str:
    """Return what output matches: "..." stands for any text, alone on a line for any lines."""
    lines = [
        r"(?:.*\n)*" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*") + r"\n"
        for line in output.splitlines()
    ]
    return "".join(lines)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can have a machine of its own")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_does_what_the_page_says(page: Path, tmp_path: Path) -> None:
    """It ends with 0, and prints what stands below it."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    for name in ("unshare", "ip", *NEEDED.get(page.stem, ())):
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")
    skip_if_out_of_reach()
    script, expected = sessions(page)

    done = subprocess.run(
        [*OWN_MACHINE, BEGIN + script, "tutorial", str(tmp_path), str(Path(sys.executable).parent),
         sys.executable, str(STAND_IN), str(ROOT)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=115,
    )  # fmt: skip

    found = re.findall(r"^@@begin\n(.*?)^@@end (\d+)$", done.stdout, re.MULTILINE | re.DOTALL)
    assert len(found) == len(expected), done.stdout + done.stderr
    wrong = [
        (command, status, printed)
        for (command, output), (printed, status) in zip(expected, found, strict=True)
        if status != "0" or not re.fullmatch(pattern(output), printed)
    ]
    assert wrong == []


def test_every_page_is_a_tutorial_that_shows_commands() -> None:
    """A page without any would pass untested."""
    assert [page.stem for page in PAGES] == ["cgi", "inetd", "python", "systemd"]
    assert all(len(sessions(page)[1]) > 5 for page in PAGES)
