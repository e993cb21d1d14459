"""Lines of the log for people."""

from typing import Any

import pytest

from socketd.operations.console import ConsoleRenderer

READY = {
    "event": "service_ready", "level": "info", "service": "web", "listener": "tcp:[::]:80",
    "address": "::", "port": 80, "port_name": None, "workers": 1, "ready": "load",
}  # fmt: skip
CLOSED = {"event": "connection_closed", "level": "info", "service": "web", "status": 0}
RELOADED = {
    "event": "reloaded", "level": "info", "services": 3, "added": 1, "changed": 0, "removed": 2,
}  # fmt: skip
FAILED = {"event": "worker_failed", "level": "info", "service": "web", "worker": 1, "reason": "no"}
KILLED = {"event": "program_killed", "level": "warning", "service": "web", "signal": "SIGSEGV"}
MISSING = {"event": "native_worker_missing", "level": "info", "reason": "no compiler"}


@pytest.mark.parametrize(
    ("line", "of_several", "text"),
    [
        (READY, False, "inet: listening on port 80, ready at load"),
        (READY, True, "web: inet: listening on port 80, ready at load"),
        (CLOSED, True, "web: connection closed"),
        (RELOADED, True, "reloaded: 3 listeners; 1 added, 0 changed, 2 removed"),
        (FAILED, True, None),
        (KILLED, True, "socketd: warning: program_killed service=web signal=SIGSEGV"),
    ],
)
def test_server_of_a_file_says_more_than_the_classic_one(
    line: dict[str, Any], of_several: bool, text: str | None
) -> None:
    """The level, a reload, and whose line it is where there are several services."""
    render = ConsoleRenderer("socketd", is_terminal=False)
    render.are_several = of_several

    assert render(dict(line)) == text


def test_missing_parts_are_a_sentence_with_what_to_do() -> None:
    """On the console of a server of a file, but not for scripts that read classic lines."""
    text = ConsoleRenderer("socketd", is_terminal=False)(dict(MISSING))

    assert text
    assert text.endswith("no program is started ahead: no compiler")
    assert ConsoleRenderer("socket", is_terminal=False)(dict(MISSING)) is None


def test_line_below_is_drawn_over_and_taken_away_by_others() -> None:
    """What stands there is not drawn again, unless a line of the log has taken it away."""
    render = ConsoleRenderer("socketd", is_terminal=True)

    assert render.draw("1 left") == "\r\x1b[K1 left"
    assert render.draw("1 left") == ""
    assert render(dict(CLOSED)) == "\r\x1b[Kconnection closed"
    assert render(dict(CLOSED)) == "connection closed"
    assert render.draw("1 left") == "\r\x1b[K1 left"
    assert render.draw("") == "\r\x1b[K"
    assert render.draw("") == ""


@pytest.mark.parametrize(("program", "is_terminal"), [("socket", True), ("socketd", False)])
def test_nothing_is_drawn_elsewhere(program: str, is_terminal: bool) -> None:
    """Nor by the command that scripts know."""
    assert ConsoleRenderer(program, is_terminal=is_terminal).draw("1 left") == ""
