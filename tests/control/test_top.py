"""`socketd top` on a terminal: keys, mouse, what it says of a real server, what it leaves there."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from control.asking import path_of, when
from harness.clients import connect
from harness.controls import controlled
from harness.supervisors import SOCKETD, Supervisor, run_socketd

pytest.importorskip("textual", reason="textual is not installed")
pytest.importorskip("pyte", reason="pyte is not installed")

from harness.screens import ScreenedCommand

Serve = Callable[..., Supervisor]
# A picture is drawn from above: with its last line it is whole, and what is clicked on is in place.
LAST_OF_WORKERS = "k End connection  ? Help  q Quit  /"
TWO = """
[service.s]
listen = ["tcp:127.0.0.1:0"]
program = "cat"
[service.s.workers]
min = 1
max = 4
[service.t]
listen = ["tcp:127.0.0.1:0"]
program = "cat"
"""


def test_person_watches_a_server(serve: Serve) -> None:
    """All services, the workers of one, the client of each; keys and mouse; q gives all back."""
    server = serve(TWO)
    with (
        connect(server.place("s")) as client,
        ScreenedCommand(SOCKETD, "top", "--interval", "100ms", str(server.file)) as screen,
    ):
        before = screen.attributes
        when(server, lambda one: one.workers.busy == 1)
        screen.wait_for("busy 1 of ", "\ns  ", "\nt  ")
        screen.press("\x1b[B\r")
        screen.wait_for("t  tcp:", "idle", without="SERVICE")
        screen.press("\x7f")
        screen.wait_for("SERVICE", "Enter Open  ? Help")
        screen.click_on(r"^s +tcp:")
        screen.click_on(r"^s +tcp:")
        screen.wait_for("CONNECTED", "busy    1 of 4", "idle")
        shown = screen.wait_for(LAST_OF_WORKERS)
        assert f"127.0.0.1:{client.getsockname()[1]}" in shown
        screen.click_on("Help")
        screen.wait_for("turn the order round", without="? Help")
        screen.press("x")
        screen.wait_for("CONNECTED", LAST_OF_WORKERS)
        screen.press("k")
        screen.wait_for("End the connection of process", "y Yes, end it  n No")
        screen.click_on("n No")
        screen.wait_for("k End connection", without="End the connection of")
        screen.resize(60, 20)
        screen.wait_for("CONNECTED", "q Quit")
        screen.press("q")
        assert screen.wait_end() == 0
        assert screen.attributes == before
        assert b"\x1b[?1049l" in screen.raw
        client.sendall(b"still here")
        assert client.recv(100) == b"still here"


def test_connection_ends_after_a_yes(serve: Serve) -> None:
    """And no other than that of the row; what has come of it is said."""
    server = serve(TWO)
    with (
        connect(server.place("s")) as first,
        connect(server.place("s")) as second,
        ScreenedCommand(
            SOCKETD, "top", "--interval", "100ms", "--service", "s", str(server.file)
        ) as screen,
    ):
        when(server, lambda one: one.workers.busy == 2)
        screen.wait_for("busy 2 of 4", without="\nt ")
        screen.press("\r")
        address = f"127.0.0.1:{second.getsockname()[1]}"
        screen.wait_for(address, LAST_OF_WORKERS)
        screen.click_on(f"[0-9]+ +busy.*{address}")
        screen.press("k")
        screen.wait_for(f"client {address}", "y Yes")
        screen.press("y")
        screen.wait_for("told to end", "busy    1 of 4")
        assert second.recv(100) == b""
        first.sendall(b"still here")
        assert first.recv(100) == b"still here"


def test_server_comes_and_goes(tmp_path: Path) -> None:
    """Who watches sees that nobody answers, and sees the next server at the same place."""
    path = tmp_path / "control"
    with (
        controlled(path) as control,
        ScreenedCommand(SOCKETD, "top", "--interval", "100ms", "--control", str(path)) as screen,
    ):
        screen.wait_for("echo", "web")
        control.close()
        screen.wait_for("cannot ask the server at", "echo")
        with controlled(path):
            screen.wait_for("echo", without="cannot ask")
        screen.press("\x03")
        assert screen.wait_end() == 0


def test_server_that_hangs_is_told_soon(serve: Serve) -> None:
    """Numbers do not stand still for long without a word; they go on as soon as the server does."""
    server = serve(TWO)
    with ScreenedCommand(SOCKETD, "top", "--interval", "100ms", str(server.file)) as screen:
        screen.wait_for("all is well")
        os.kill(server.pid, signal.SIGSTOP)
        try:
            screen.wait_for("the server has not answered for 2 s: it is busy, or stopped")
        finally:
            os.kill(server.pid, signal.SIGCONT)
        screen.wait_for("all is well", without="answered")
        screen.press("q")
        assert screen.wait_end() == 0


def test_signal_gives_the_terminal_back(tmp_path: Path) -> None:
    """A terminal that is left in the hands of a shell works as before, whatever has ended us."""
    path = tmp_path / "control"
    with (
        controlled(path),
        ScreenedCommand(SOCKETD, "top", "--control", str(path)) as screen,
    ):
        before = screen.attributes
        screen.wait_for("echo", "web")
        os.kill(screen.pid, signal.SIGTERM)
        screen.wait_end()
        assert screen.attributes == before
        assert b"\x1b[?1049l" in screen.raw


def test_bug_is_an_exit_code(tmp_path: Path) -> None:
    """It gives the terminal back too, and ends with 70."""
    path = tmp_path / "control"
    (tmp_path / "sitecustomize.py").write_text(
        "import socketd.display.picture\n"
        "def draw(model):\n    raise ValueError('a bug on purpose')\n"
        "socketd.display.picture.draw = draw\n"
    )
    command = (SOCKETD, "top", "--control", str(path))
    with controlled(path), ScreenedCommand(*command, PYTHONPATH=str(tmp_path)) as screen:
        before = screen.attributes
        assert screen.wait_end() == 70
        assert b"a bug on purpose" in screen.raw
        assert screen.attributes == before


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_plain_text_needs_nothing(tmp_path: Path, term: str) -> None:
    """--plain, and a terminal that can do nothing, get the table again and again."""
    path = tmp_path / "control"
    command = [SOCKETD, "top", "--interval", "100ms", "--control", str(path)]
    command += ["--plain"] if term != "dumb" else []
    with controlled(path) as control, ScreenedCommand(*command, TERM=term) as screen:
        before = screen.attributes
        screen.wait_for("echo", "web", "Ctrl-C ends.")
        control.document["services"][0]["listeners"][0]["workers"]["busy"] = 7
        screen.wait_for("busy 11 of 16")
        assert (b"\x1b" in screen.raw) == (term != "dumb")
        screen.press("\x03")
        assert screen.wait_end() == -signal.SIGINT
        assert screen.attributes == before


def test_missing_package_leaves_plain_text(tmp_path: Path) -> None:
    """And the line below says how to have more."""
    path = tmp_path / "control"
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\n"
        "found = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'textual' else found(name, *more)\n"
    )
    with (
        controlled(path),
        ScreenedCommand(
            SOCKETD, "top", "--control", str(path), width=120, PYTHONPATH=str(tmp_path)
        ) as screen,
    ):
        screen.wait_for("echo", "the package textual is not installed (try: pip install 'socketd")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "top needs a terminal; for scripts there is `socketd status`"),
        (["--plain"], "top needs a terminal; for scripts there is `socketd status`"),
        (["--interval", "1ms"], "--interval: no shorter time than 0.1 s"),
        (["--interval", "soon"], "'soon' is not a duration"),
    ],
)
def test_mistakes_are_told_in_a_line(arguments: list[str], said: str) -> None:
    """What makes no sense ends with 15 and the reason."""
    outcome = run_socketd("top", *arguments, TERM="xterm")

    assert outcome.status == 15
    assert said in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_mistakes_are_told_before_there_is_a_screen(serve: Serve) -> None:
    """A service that is not there, and a server."""
    server = serve(TWO)
    with ScreenedCommand(SOCKETD, "top", "--service", "u", str(server.file)) as screen:
        screen.wait_for("there is no service 'u'; there are: s, t")
        assert screen.wait_end() == 15
        assert b"\x1b" not in screen.raw
    server.server.stop()
    with ScreenedCommand(SOCKETD, "top", "--control", path_of(server), width=200) as screen:
        screen.wait_for("cannot ask the server at")
        assert screen.wait_end() == 71
