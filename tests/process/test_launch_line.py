"""The launch line of the planned usage, typed at a terminal that is then closed."""

import os
import pty
import re
import signal
import subprocess
from pathlib import Path

import pytest

from harness.clients import exchange
from harness.processes import marked
from harness.servers import SOCKET, clean_environment
from harness.waiting import wait_for

pytestmark = pytest.mark.slow

LINE = 'socket -B ${ADDR} -s ${PORT} -b -f -q -l -p "${WRAPPER} ${CGI_PROGRAM}"; echo status $?'

# Reads one line of request, tells the CGI program what it is about, and becomes it.
WRAPPER = """#!/bin/sh
read -r REQUEST_METHOD QUERY_STRING
export REQUEST_METHOD QUERY_STRING GATEWAY_INTERFACE=CGI/1.1
exec "$1"
"""

CGI_PROGRAM = """#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n'
printf '%s asks for %s from %s\\n' "$REQUEST_METHOD" "$QUERY_STRING" "$REMOTE_ADDR"
"""


def _executable(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def _read_terminal(fd: int, pattern: bytes) -> re.Match[bytes]:
    seen = b""
    while not (found := re.search(pattern, seen)):
        seen += os.read(fd, 1024)
    return found


def test_launch_line_runs_in_the_background_and_survives_its_terminal(
    mark: str, tmp_path: Path
) -> None:
    """It returns 0 once it serves, outlives the terminal, and SIGTERM ends it without a rest."""
    terminal, ours = pty.openpty()
    environment = clean_environment(mark) | {
        "ADDR": "127.0.0.1",
        "PORT": "0",
        "WRAPPER": _executable(tmp_path / "wrapper", WRAPPER),
        "CGI_PROGRAM": _executable(tmp_path / "program", CGI_PROGRAM),
        "PATH": f"{Path(SOCKET).parent}:{os.environ['PATH']}",
    }
    with subprocess.Popen(
        ["setsid", "--ctty", "sh", "-c", LINE],
        stdin=ours,
        stdout=ours,
        stderr=ours,
        env=environment,
        cwd=tmp_path,
    ) as shell:
        os.close(ours)
        seen = _read_terminal(terminal, rb"listening on port (\d+)\r\n(.*)status (\d+)\r\n")
        assert shell.wait() == 0
    os.close(terminal)  # the hangup
    port, noise, status = seen.groups()

    assert (noise, status) == (b"", b"0")
    for number in range(3):
        reply = exchange(("127.0.0.1", int(port)), b"GET page=%d\n" % number)
        assert reply == (
            b"Content-Type: text/plain\r\n\r\nGET asks for page=%d from 127.0.0.1\n" % number
        )
    pids = {one.pid for one in marked(mark)}
    masters = [one for one in marked(mark) if one.parent not in pids]
    assert [one.session for one in masters] == [masters[0].pid]
    os.kill(masters[0].pid, signal.SIGTERM)
    wait_for(lambda: marked(mark) == [], "everything of the service is gone")


def test_terminal_is_let_go(mark: str, tmp_path: Path) -> None:
    """In the background the terminal is neither read nor written, and the master has let it go."""
    terminal, ours = pty.openpty()
    subprocess.run(
        ["setsid", "--ctty", SOCKET, "-b", "-slf", "-p", "cat", f"{tmp_path}/s"],
        stdin=ours,
        stdout=ours,
        stderr=ours,
        env=clean_environment(mark),
        check=True,
    )
    name = os.ttyname(ours)
    os.close(ours)

    pids = {one.pid for one in marked(mark)}
    held = [
        (one.name, number)
        for one in marked(mark)
        # Workers that were there before the service was up keep its stderr until they are used.
        for number in (("0", "1") if one.parent in pids else ("0", "1", "2"))
        if os.readlink(f"/proc/{one.pid}/fd/{number}") == name
    ]

    os.close(terminal)
    assert held == []
    assert exchange(f"{tmp_path}/s", b"still there") == b"still there"
    pids = {one.pid for one in marked(mark)}
    for one in marked(mark):
        if one.parent not in pids:
            os.kill(one.pid, signal.SIGTERM)
    wait_for(lambda: marked(mark) == [], "everything of the service is gone")
