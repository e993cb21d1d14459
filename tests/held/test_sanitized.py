"""The object that holds programs, built so that undefined behaviour is a trap."""

import contextlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.clients import exchange, exchange_at_once
from harness.servers import Server
from socketd.template import is_built

pytestmark = pytest.mark.slow

NATIVE = Path(__file__).parents[2] / "native"
# The server, with another object than that of the package.
CALL = """
import sys
import socketd.launch
socketd.launch.HOLD_OBJECT = {path!r}
from socketd.cli.socket import main
sys.argv = sys.argv[1:]
sys.exit(main())
"""


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Compile the object with the checks of undefined behaviour."""
    make = shutil.which("make")
    if make is None or not is_built():
        pytest.skip("no make or no C compiler")
    product = tmp_path_factory.mktemp("sanitized") / "socketd-hold.so"
    done = subprocess.run(
        [make, "-C", str(NATIVE), "sanitize-hold", f"HOLD={product}"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr

    return str(product)


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
def test_nothing_undefined_happens_in_a_copy(sanitized: str, level: str, command: str) -> None:
    """Templates and copies end as usual: a trap would end them by a signal."""
    server = Server(
        ["--ready", level, "-p", command, "-W", "4", "-B", "127.0.0.1", "-s", "0"],
        prefix=[sys.executable, "-c", CALL.format(path=sanitized)],
    )
    with contextlib.closing(server):
        exchange_at_once(server.place, [b"%d\n" % number for number in range(30)])
        exchange(server.place)

        server.wait_settled(idle=4)
        assert {line["status"] for line in server.events("connection_closed")} == {0}
