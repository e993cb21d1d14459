"""Thousands of connections while the service is reloaded and replaced: all are served whole.

The variables below ask for more of everything than a check of every day has the time for:
60000 connections, 50 reloads and 20 replacements are a good night's work.
"""

import os
import time
from collections.abc import Callable

import pytest

from harness.extent import by_extent
from harness.storms import Storm
from harness.supervisors import Supervisor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

CLIENTS = 4
CONNECTIONS = int(os.environ.get("SOCKETD_STORM_CONNECTIONS", by_extent(2_000, 8_000)))
RELOADS = int(os.environ.get("SOCKETD_STORM_RELOADS", by_extent(6, 16)))
REPLACEMENTS = int(os.environ.get("SOCKETD_STORM_REPLACEMENTS", by_extent(3, 6)))
TEXT = """
[service.echo]
listen = ["tcp:127.0.0.1:0"]
program = "cat"
worker = "{worker}"

[service.echo.workers]
min = {minimum}
max = 64
"""


def test_no_connection_is_lost_by_reloads_and_replacements(
    supervise: Callable[..., Supervisor],
) -> None:
    """None is refused, none is reset, every reply is whole, and the master is still the same."""
    supervisor = supervise(TEXT.format(worker="native", minimum=8))
    place = supervisor.place("echo")
    pid = supervisor.pid
    assert isinstance(place, tuple)
    begun = time.monotonic()
    storm = Storm(place, CLIENTS, CONNECTIONS)
    try:
        reloads = replacements = 0
        while replacements < REPLACEMENTS:
            for _ in range(-(-(RELOADS - reloads) // (REPLACEMENTS - replacements))):
                text = TEXT.format(worker="native", minimum=6 + reloads % 5)
                assert supervisor.reload(text)["event"] == "reloaded"
                reloads += 1
            assert supervisor.replace()["event"] == "reexec_done"
            replacements += 1
        was_over = storm.is_over
        whole, complaints = storm.result()
    finally:
        storm.close()
    seconds = time.monotonic() - begun
    print(f"{whole} of {CONNECTIONS}, {reloads} reloads, {replacements} replacements")
    print(f"in {seconds:.1f} s; clients were done before the last: {was_over}")

    assert complaints == []
    assert whole == CONNECTIONS // CLIENTS * CLIENTS
    assert (reloads, supervisor.pid) == (RELOADS, pid)
    assert supervisor.server.stop() == 0
    [line] = supervisor.server.events("stopped")
    assert line["connections"] == whole
