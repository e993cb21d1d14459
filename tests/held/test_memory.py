"""A level that a program cannot be held at is tried once, and told once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.clients import exchange
from harness.waiting import wait_for

from .conftest import Start

pytestmark = pytest.mark.slow


def test_hopeless_level_is_not_tried_again_at_renewals(
    start: Start, script: Callable[..., str], tmp_path: Path
) -> None:
    """The program is not even run for it, until its file is another one."""
    mark = tmp_path / "runs"
    path = script(f"#!/usr/bin/env bash\necho run >> {mark}\nread -t 9 line\necho $line\n")
    server = start("read", path, "--renew-after", "100ms", is_quiet=False)
    wait_for(lambda: len(server.events("template_started")) >= 4, "renewed some times")

    assert {one["ready"] for one in server.events("template_started")} == {"load"}
    assert mark.read_text() == "run\n"
    assert len(server.events("template_fell_back")) == 1
    assert exchange(server.place, b"a\n") == b"a\n"

    script("#!/usr/bin/env bash\nread line\necho new $line\n")

    wait_for(lambda: server.events("template_started")[-1]["ready"] == "read", "held at read")
    wait_for(lambda: exchange(server.place, b"a\n") == b"new a\n", "served as it is now")
