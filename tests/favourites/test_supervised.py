"""Programs with templates of their own, in a supervisor that is reloaded, replaced and stopped."""

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.supervisors import Supervisor
from harness.waiting import wait_for
from socketd.system.borrowed import borrowed
from socketd.system.products import is_built

from .conftest import Compile, Site
from .test_life import are_right, asking, wait_answers

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not is_built(), reason="the native worker was not built: no C compiler"),
]


@pytest.fixture
def program(put: Compile) -> str:
    """Return a program."""
    return put()


@pytest.fixture
def site(program: str, protocol: str, tmp_path: Path) -> Iterator[tuple[Site, Supervisor]]:
    """Run a service; it must leave nothing behind."""
    file = tmp_path / "services.toml"
    file.write_text(
        f'[service.site]\nlisten = ["tcp:127.0.0.1:0"]\nfront = "{protocol}"\n'
        f'scripts = ["{Path(program).parent}"]\nstderr = "null"\n'
        "[service.site.workers]\nmin = 2\nmax = 12\n"
    )
    supervisor = Supervisor(file)
    try:
        supervisor.place("site")
        yield Site(supervisor.server, protocol), supervisor
    finally:
        supervisor.server.close()


def test_reload_under_load_loses_nothing(site: tuple[Site, Supervisor], program: str) -> None:
    """What was held is given up, and comes again when it is asked for."""
    asked, supervisor = site
    former = asked.favour(program)
    with asking(asked, program) as answers:
        wait_answers(answers)
        for _ in range(3):
            supervisor.reload()
            wait_answers(answers)

    assert are_right(answers)
    wait_for(lambda: not os.path.exists(f"/proc/{former}"), "the former template is gone")
    assert asked.favour(program) != former


def test_reload_needs_no_address_anew(site: tuple[Site, Supervisor], program: str) -> None:
    """A child of the master on its way to its exec may have descriptors a moment longer."""
    asked, supervisor = site
    former = asked.favour(program)
    with contextlib.ExitStack() as kept:
        for fd in os.listdir(f"/proc/{supervisor.pid}/fd"):
            with contextlib.ExitStack() as looking:
                found = looking.enter_context(borrowed(supervisor.pid, int(fd)))
                if found is not None and found.type == socket.SOCK_DGRAM:
                    kept.push(looking.pop_all())
        supervisor.reload()

        assert asked.favour(program) != former
    assert supervisor.server.events("favourite_refused") == []


def test_replacement_under_load_loses_nothing(site: tuple[Site, Supervisor], program: str) -> None:
    """The next version begins without templates, and with the connections there are."""
    asked, supervisor = site
    former = asked.favour(program)
    with asking(asked, program) as answers:
        wait_answers(answers)
        assert supervisor.replace()["event"] == "reexec_done"
        wait_answers(answers)

    assert are_right(answers)
    wait_for(lambda: not os.path.exists(f"/proc/{former}"), "the former template is gone")
    assert asked.favour(program) != former


def test_stop_lets_copies_finish(site: tuple[Site, Supervisor], program: str) -> None:
    """Who has a request answers it, and nothing is left."""
    asked, supervisor = site
    asked.favour(program)
    with asking(asked, program) as answers:
        wait_answers(answers)
        supervisor.server.signal(signal.SIGTERM)
        assert supervisor.server.wait() == 0
    refused = [answer for answer in answers if b"X-Version: " not in answer]

    assert all(b"Connection" in answer or b"timed out" in answer for answer in refused), refused
