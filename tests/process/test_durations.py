"""One rule for every duration, on the command lines and in a file: 0 is none, a year is one."""

from pathlib import Path

import pytest

from harness.clients import exchange
from harness.scgi import request
from harness.servers import Server, run_socket
from harness.supervisors import run_socketd
from socketd.cli.options import all_options
from socketd.settings.kinds import Duration
from socketd.settings.setting import CGI, FILE
from socketd.settings.table import offered
from socketd.system.products import is_built

SERVE = ("-s", "-l", "-f", "-p", "cat", "-B", "127.0.0.1", "0")
# What an option needs beside it to be understood at all.
BESIDE = {
    "connect-timeout": ("127.0.0.1", "1"),
    "head-timeout": ("--front", "scgi", *SERVE),
    "keep-timeout": ("--front", "fcgi", *SERVE),
}
WITHOUT_FRONT = [
    "time-limit", "linger", "drain-timeout", "idle-timeout", "hold-timeout", "renew-after",
]  # fmt: skip


@pytest.mark.parametrize("name", [one.name for one in all_options() if one.metavar == "TIME"])
def test_no_option_takes_0_for_a_time(name: str) -> None:
    """Neither as never nor as at once; each says what it takes."""
    done = run_socket(f"--{name}", "0", *BESIDE.get(name, SERVE))

    assert done.status == 15
    assert f"--{name}: '0' is not a duration; " in done.stderr
    assert "from 1ms to 365d" in done.stderr


@pytest.mark.parametrize(
    "name", [one.option for one in offered(CGI) if isinstance(one.kind, Duration)]
)
def test_no_option_of_cgi_takes_0_for_a_time(name: str) -> None:
    """The other command is no exception."""
    done = run_socketd("cgi", f"--{name}", "0s", "--scgi", "tcp:127.0.0.1:0", "cat")

    assert done.status == 15
    assert "from 1ms to 365d" in done.stderr


def test_no_key_takes_0_for_a_time(tmp_path: Path) -> None:
    """All of them are told of at once."""
    durations = {one.key for one in offered(FILE) if isinstance(one.kind, Duration)}
    found = {key for key in durations if not key.startswith("listen.")}
    assert len(found) >= 9
    file = tmp_path / "services.toml"
    paths = sorted(found, key=lambda name: name.count("."))
    text = '[service.x]\nlisten = ["tcp:127.0.0.1:0"]\nprogram = "cat"\n'
    file.write_text(text + "".join(f'{path} = "0s"\n' for path in paths))

    done = run_socketd("check", str(file))

    assert done.status == 1
    for name in found:
        assert f"service.x.{name}: found '0s'; allowed: a number with ms" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("native", ["head-timeout", "time-limit", "linger"]),
        ("native", WITHOUT_FRONT),
        ("python", WITHOUT_FRONT),
    ],
)
def test_year_is_a_time_for_all(kind: str, names: list[str]) -> None:
    """Also where the kernel and the native side count milliseconds in a C int."""
    has_front = "head-timeout" in names
    if kind == "native" and not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    years = [word for name in names for word in (f"--{name}", "365d")]
    front = ["--front", "scgi"] if has_front else []
    server = Server([*years, *front, "--worker", kind, "-W", "1", *SERVE])
    try:
        body = request(b"body") if has_front else b"body"
        assert exchange(server.place, body) == b"body"
        server.wait_event("connection_closed")
        assert exchange(server.place, body) == b"body"
        assert server.stop() == 0
    finally:
        server.close()
