"""What the command costs before a client's first byte and before a server listens: its imports."""

import contextlib
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import socketd
from harness.clients import exchange
from harness.servers import SOCKET, Server
from harness.waiting import wait_for

ROOT = str(Path(socketd.__file__).parent.parent)

# Runs without site, so that nothing has been loaded before that would hide a module of ours.
PROBE = """
import os, sys
sys.path.insert(0, sys.argv.pop(1))
before = set(sys.modules)
leave = os._exit
def tell_and_leave(code):
    print(*sorted(set(sys.modules) - before), file=sys.stderr)
    leave(code)
os._exit = tell_and_leave
from socketd.cli.entry import main
main()
"""

OURS = {
    "socketd",
    "socketd.cli",
    "socketd.cli.client",
    "socketd.cli.console",
    "socketd.cli.entry",
    "socketd.cli.options",
    "socketd.cli.report",
    "socketd.cli.socket",
    "socketd.relay.client",
    "socketd.relay.crlf",
    "socketd.errors",
    "socketd.relay",
    "socketd.relay.relay",
}

# Parts of Python in C, beside os, which the probe has loaded. The modules socket, signal and
# contextlib in front of them bring enum and collections, and double what a client costs.
OF_PYTHON = {"_signal", "_socket", "errno", "gc", "select", "time"}


@pytest.mark.parametrize("options", [["-q"], ["-cNv", "-B", "127.0.0.1", "--wait"]])
def test_client_loads_only_what_it_needs(options: list[str]) -> None:
    """A plain client loads exactly these modules of ours, and next to nothing of Python's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        with subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", PROBE, ROOT, *options, "127.0.0.1", port],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            listener.accept()[0].close()
            assert process.stderr is not None
            loaded = set(process.stderr.read().splitlines()[-1].split())

    ours = {name for name in loaded if name.startswith("socketd")}
    assert ours == OURS
    assert loaded - ours <= OF_PYTHON


# The same for a server: tells what is loaded in the moment when it listens.
LISTENING = """
import os, sys
sys.path.insert(0, sys.argv.pop(1))
import socket
def tell_and_leave(listening, backlog):
    print(*sorted(sys.modules), file=sys.stderr)
    os._exit(0)
socket.socket.listen = tell_and_leave
from socketd.cli.entry import main
main()
"""

# Each of these costs a server a tenth or more of its time before it listens.
NOT_BEFORE_LISTENING = {
    "ast", "asyncio", "click", "ctypes", "dataclasses", "datetime", "inspect", "json", "logging",
    "msgspec", "random", "re", "shutil", "structlog", "subprocess", "tempfile", "threading",
    "traceback", "typing",
}  # fmt: skip


@pytest.mark.parametrize("options", [[], ["-v"], ["--max-workers", "9", "--idle-timeout", "5s"]])
def test_server_listens_before_it_loads_what_serves(options: list[str]) -> None:
    """Until then neither master, workers and pool nor any heavy module is there."""
    arguments = ["-p", "cat", "-l", "-f", "-W", "4", *options, "-s", "0"]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", LISTENING, ROOT, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )

    loaded = set(done.stderr.splitlines()[-1].split())
    assert "socketd.loop.listeners" in loaded
    assert loaded & NOT_BEFORE_LISTENING == set()
    serving = ("socketd.master", "socketd.workers", "socketd.pool.policy")
    assert [name for name in loaded if name.startswith(serving)] == []


def test_server_that_says_nothing_loads_no_structlog(tmp_path: Path) -> None:
    """Nor asyncio, which comes with it: neither its time before listening, nor its memory."""
    path = tmp_path / "s"
    arguments = ["-p", "cat", "-W", "1", "-s", str(path)]
    server = Server(arguments, command=(SOCKET,), is_measured=False)
    try:

        def is_answered() -> bool:
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                return exchange(str(path), b"hello") == b"hello"
            return False  # a UNIX socket has its name before it listens

        wait_for(is_answered, "an answer")
        mapped = Path(f"/proc/{server.pid}/maps").read_text()
    finally:
        server.close()

    assert "_asyncio" not in mapped
    assert "_ssl" not in mapped
