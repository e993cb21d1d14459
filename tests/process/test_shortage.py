"""The machine has no room for another process, and then it has: nobody waits for the next try."""

import contextlib
import os
from datetime import datetime

import pytest

from harness.clients import connect, exchange
from harness.servers import SOCKET, Line, Server
from harness.waiting import wait_for

# What a user without a name may read in addition: whatever the tests are made of.
READING = "+dac_override,+dac_read_search"
LONG_SECONDS = 2.0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can change user"),
]


def time_of(line: Line) -> float:
    """Return the time of a log line, in seconds."""
    return datetime.fromisoformat(str(line["timestamp"])).timestamp()


def limited(uid: int, processes: int) -> list[str]:
    """Return how to run something as a user that may have so many processes and has none yet."""
    return [
        "setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--inh-caps", READING,
        "--ambient-caps", READING, "prlimit", f"--nproc={processes}",
    ]  # fmt: skip


@pytest.mark.usefixtures("reachable")
@pytest.mark.parametrize(("kind", "own", "uid"), [("native", 2, 54321), ("python", 1, 54322)])
def test_end_of_a_worker_ends_the_wait_for_room(kind: str, own: int, uid: int) -> None:
    """With the limit of processes reached the delays grow; an end has another started at once."""
    options = ["--worker", kind, "--log-level", "debug", "-p", "cat", "-W", "1"]
    server = Server(
        [*options, "-B", "127.0.0.1", "-s", "0"],
        prefix=limited(uid, own + 3),
        command=(SOCKET, "--log-format", "json"),
        is_quiet=False,
        is_measured=False,
    )
    try:
        with contextlib.ExitStack() as clients:
            for _ in range(3):
                clients.enter_context(connect(server.place))
            last = server.wait_event("backing_off", lambda line: line["delay_s"] > LONG_SECONDS)
            assert "fork: Resource temporarily unavailable" in last["reason"]
            started = len(server.events("worker_started"))
        wait_for(lambda: len(server.events("worker_started")) > started, "another worker")
        first = server.events("worker_started")[started]

        assert time_of(first) < time_of(last) + last["delay_s"]
        assert exchange(server.place, b"alone") == b"alone"
        assert server.stop() == 0
    finally:
        server.close()
