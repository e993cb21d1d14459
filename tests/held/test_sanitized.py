"""The object that holds programs, built so that what is wrong in it ends the program.

More of this folder runs on such an object with `make sanitized`.
"""

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.clients import exchange, exchange_at_once
from harness.sanitized import ADDRESSES, Sanitized

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("target", ["sanitize-hold", ADDRESSES])
@pytest.mark.parametrize(
    ("level", "command"),
    [
        ("load!", "cat"),
        ("read!", "cat"),
        ("read!", "bash -c 'echo -n a; while read x; do printenv REMOTE_PORT > /dev/null; done'"),
        ("read!", f"{sys.executable} -c 'import sys; print(sys.stdin.read(), end=str())'"),
        ("stop!", "sh -c 'kill -STOP $$; exec cat'"),
    ],
)
def test_nothing_undefined_happens_in_a_copy(
    sanitize: Callable[[str], Sanitized], target: str, level: str, command: str
) -> None:
    """Templates and copies end as usual: a trap would end them by a signal, a report badly."""
    sanitized = sanitize(target)
    server = sanitized.serve(
        ["--ready", level, "-p", command, "-W", "4", "-B", "127.0.0.1", "-s", "0"]
    )
    with contextlib.closing(server):
        server.wait_settled(idle=4)
        maps = Path(f"/proc/{server.workers()[0]}/maps").read_text()
        assert ("libasan" in maps) == (target == ADDRESSES)
        exchange_at_once(server.place, [b"%d\n" % number for number in range(30)])
        exchange(server.place)

        server.wait_settled(idle=4)
        assert server.wait_statuses(31) == [0] * 31
