"""The command line: what is wrong with a call is said in one line."""

import socket
import subprocess
from pathlib import Path

import pytest

WRONG = [
    ([], "no program"),
    (["--"], "no program"),
    (["--root"], "--root: no such option, or its value is missing"),
    (["--root", "relative"], "--root: not an absolute path"),
    (["--root", "/x", "program"], "only one of PROGRAM, --root, --scripts and --to"),
    (["--root", "/x", "--to", "unix:/y"], "only one of PROGRAM, --root, --scripts and --to"),
    (["--unknown", "x"], "--unknown: no such option"),
    (["--env", "A_NAME_OF_NOBODY", "true"], "--env: no value, and none in the environment"),
    (["--env", "=A", "true"], "--env: not NAME=VALUE or NAME"),
    (["--env", "", "true"], "--env: not NAME=VALUE or NAME"),
    (["--env-prefix", "", "true"], "--env-prefix: empty"),
    ([w for n in range(256) for w in ("--env", f"A{n}=b")] + ["true"], "--env: too many variables"),
    (["--stderr", "socket", "true"], "--stderr is not one of client, inherit, null"),
    (["x" * 5000], "the path of the program is too long"),
    (["--to", "host:1"], "the pool is neither unix:PATH nor tcp:HOST:PORT"),
    (["--to", "unix:"], "the path of the pool is empty"),
    (["--to", f"unix:/{'x' * 200}"], "the path of the pool is too long for a socket"),
    (["--to", "tcp:127.0.0.1"], "the pool is not tcp:HOST:PORT"),
    (["--to", "tcp:127.0.0.1:"], "the pool is not tcp:HOST:PORT"),
    (["--to", "tcp:127.0.0.1:0"], "the pool is not tcp:HOST:PORT"),
    (["--to", "tcp:127.0.0.1:65536"], "the pool is not tcp:HOST:PORT"),
    (["--to", "tcp:127.0.0.1:12x"], "the pool is not tcp:HOST:PORT"),
    (["--to", "tcp:[::1]"], "the pool is not tcp:HOST:PORT"),
    (["--to", "tcp:[::1:80"], "the pool is not tcp:HOST:PORT"),
    (["--to", "tcp:[127.0.0.1]:80"], "the host of the pool is neither a number nor localhost"),
    (["--to", "tcp:::1:80"], "the host of the pool is neither a number nor localhost"),
    (["--to", "tcp:example.org:80"], "the host of the pool is neither a number nor localhost"),
    (["--to", f"tcp:{'1' * 100}:80"], "the host of the pool is too long"),
]


@pytest.mark.parametrize(("arguments", "reason"), WRONG, ids=lambda value: str(value)[:40])
def test_a_wrong_call_is_refused(fcgi2cgi: Path, arguments: list[str], reason: str) -> None:
    """The exit code is 100, with one line about it."""
    done = subprocess.run(
        [fcgi2cgi, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr == f"fcgi2cgi: {reason}; see fcgi2cgi --help\n"
    assert (done.returncode, done.stdout) == (100, "")


def test_stderr_that_is_the_connection_cannot_be_inherited(fcgi2cgi: Path) -> None:
    """The program would write into the midst of records: the call is refused, on that stderr."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        done = subprocess.run(
            [fcgi2cgi, "--stderr", "inherit", "true"],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=theirs.fileno(),
            check=False,
        )
        said = ours.recv(1000)

    assert done.returncode == 100
    assert said.startswith(b"fcgi2cgi: --stderr inherit would write into the connection")


def test_help_is_printed(fcgi2cgi: Path) -> None:
    """Every option is in it."""
    done = subprocess.run([fcgi2cgi, "--help"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    for option in ("--root", "--to", "--env", "--stderr", "--help"):
        assert option in done.stdout


def test_closed_descriptors_are_a_wrong_call(fcgi2cgi: Path) -> None:
    """Without a connection there is nothing to serve."""
    done = subprocess.run(
        ["sh", "-c", f"exec {fcgi2cgi} true <&-"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 100
    assert "descriptors 0 and 1 are not both open" in done.stderr
