"""`socketd explain` leaves nothing behind, whatever the program does and however it ends itself."""

import signal
from pathlib import Path

import pytest

from harness.extent import by_extent
from harness.processes import marked
from harness.waiting import wait_for

from .conftest import Begin, Explain

pytestmark = pytest.mark.slow

# A command that is not its mark's only one has started something.
HANGING = ("--level", "read", "--", "sleep", "1000")


@pytest.mark.parametrize(
    "text",
    [
        "setsid sleep 1000 </dev/null >/dev/null 2>&1 & cat",
        "trap '' TERM HUP INT; sleep 1000 </dev/null >/dev/null 2>&1; cat",
        "(setsid sleep 1000 </dev/null >/dev/null 2>&1 &) ; read line; echo $line",
    ],
)
def test_what_a_program_has_started_is_ended(explain: Explain, text: str) -> None:
    """Who goes to the background, ignores signals or begins a session of its own ends with it."""
    told = explain("--hold-timeout", "500ms", "--connections", "1", "--", "sh", "-c", text)

    assert told["levels"]["fork"]["works"]  # the fixture has looked who is left


def test_program_that_hangs_is_waited_for_as_long_as_it_may_take(explain: Explain) -> None:
    """A connection that does not end is given up after --hold-timeout, and told."""
    told = explain("--hold-timeout", "300ms", "--level", "fork", "--", "sleep", "1000")

    fork = told["levels"]["fork"]
    assert (fork["connections"], fork["end_ms"]) == (1, None)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 254), (signal.SIGTERM, 241), (signal.SIGHUP, 255)]
)
def test_interrupt_ends_everything(
    begin: Begin, open_folder: Path, number: signal.Signals, status: int
) -> None:
    """Ctrl-C while a program is waited for ends it, the server and the folder, in little time."""
    command = begin(*HANGING)
    wait_for(lambda: _is_running(command.mark), "the program runs")

    command.signal(number)

    assert command.wait() == status
    assert "Traceback" not in command.stderr
    assert marked(command.mark) == []
    assert list(open_folder.iterdir()) == []


def test_interrupt_may_come_at_any_moment(begin: Begin, open_folder: Path) -> None:
    """Whatever is being started or ended just then, nothing of it remains.

    A moment is how many processes it has been seen to have had.
    """
    for number in range(by_extent(8, 24)):
        seen: set[int] = set()
        command = begin("--level", "load", "--level", "fork", "--level", "read", "--", "cat")

        def is_far_enough() -> bool:
            now = {one.pid for one in marked(command.mark)}  # noqa: B023  called at once
            seen.update(now)  # noqa: B023
            return len(seen) > 1 + number % 12 or not now  # noqa: B023

        wait_for(is_far_enough, "the moment to interrupt")
        command.signal(signal.SIGINT)

        assert command.wait() in (254, 0, -signal.SIGINT), command.stderr
        assert "Traceback" not in command.stderr
        assert marked(command.mark) == []
        assert list(open_folder.iterdir()) == []


def test_even_a_killed_one_leaves_nothing(begin: Begin, open_folder: Path) -> None:
    """Its server ends with it, and removes the folder."""
    command = begin(*HANGING)
    wait_for(lambda: _is_running(command.mark), "the program runs")

    command.signal(signal.SIGKILL)

    assert command.wait() == -signal.SIGKILL
    wait_for(lambda: not marked(command.mark), "everybody is gone")
    assert list(open_folder.iterdir()) == []


def _is_running(mark: str) -> bool:
    return any(one.name == "sleep" for one in marked(mark))
