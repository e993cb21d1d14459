"""A crash of the pool that a program of its own has: its service goes on without."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from barrier.conftest import Start
from barrier.pairs import Pair
from harness import scgi
from harness.waiting import wait_for
from socketd.system.products import is_built

SCRIPT = "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\nanswered'\n# {}\n"
# Only the pools of favourites hold a program here.
KINDS = ("Hold.", "Template.")


def put(path: Path, version: int) -> None:
    """Put another version of the program there: what was refused of the former is tried anew."""
    fresh = path.with_suffix(".new")
    fresh.write_text(SCRIPT.format(version))
    fresh.chmod(0o755)
    os.replace(fresh, path)


def ask(pair: Pair, program: Path) -> None:
    """Be answered by the program."""
    request = scgi.request(REQUEST_METHOD="GET", SCRIPT_FILENAME=str(program))
    assert scgi.ask(pair.broken, request).endswith(b"\r\n\r\nanswered")


def ask_until(pair: Pair, program: Path, is_so: Callable[[Pair], bool], what: str) -> None:
    """Be answered until something is so."""

    def look() -> bool:
        ask(pair, program)
        return is_so(pair)

    wait_for(look, what)


def started(count: int) -> Callable[[Pair], bool]:
    """Return whether so many templates of favourites have come up."""
    return lambda pair: len(pair.server.events("favourite_started")) == count


def failed(count: int) -> Callable[[Pair], bool]:
    """Return whether so many calls have failed."""
    return lambda pair: pair.faults >= count


@pytest.mark.slow
def test_crash_of_a_favourite_is_survived(start_pair: Start, tmp_path: Path) -> None:
    """Whatever call for it fails: every request is answered, and its pool is given up."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    program = tmp_path / "cgi" / "program"
    program.parent.mkdir()
    put(program, 0)
    pair = start_pair(program=f'front = "scgi"\nscripts = ["{program.parent}"]')
    pair.wait_ready()
    ask_until(pair, program, started(1), "it is a favourite")
    put(program, 1)
    ask_until(pair, program, started(2), "it is one again")
    called = sorted(one for one in pair.called() if one.startswith(KINDS))
    assert {"Hold.look", "Template.close"} <= set(called)

    for version, method in enumerate(called, 2):
        has_failed = failed(pair.faults + 1)
        pair.arm(method)
        put(program, version)
        ask_until(pair, program, has_failed, f"{method} fails")

    ask(pair, program)
    assert {line["service"] for line in pair.server.events("service_crashed")} == {"broken"}
    assert pair.server.stop() == 70
