"""What -v prints: a line for every message of socket 1.1, client and server."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.commands import StartCommand

pytestmark = pytest.mark.slow


class Exchange(NamedTuple):
    """Options of server and client, what each prints after the first two lines."""

    name: str
    server: str
    client: str
    server_end: str
    client_end: str


EXCHANGES = (
    Exchange(
        "client with -q",
        "-v",
        "-qv",
        "connection closed by peer\n",
        "connection closed\n",
    ),
    Exchange(
        "client without -q, server with it",
        "-qv",
        "-v",
        "connection closed\n",
        "end of input on stdin\nconnection closed by peer\n",
    ),
    Exchange(
        "client with -N",
        "-v",
        "-Nv",
        "connection closed by peer\n",
        "end of input on stdin\nconnection closed by peer\n",
    ),
    Exchange(
        "server with a program",
        "-vcp cat",
        "-Nv",
        "connection closed\n",
        "end of input on stdin\nconnection closed by peer\n",
    ),
)


@pytest.mark.parametrize("exchange", EXCHANGES, ids=[one.name for one in EXCHANGES])
@pytest.mark.parametrize("family", ["tcp", "unix"])
def test_messages_are_the_classic_ones(
    start: StartCommand, exchange: Exchange, family: str, tmp_path: Path
) -> None:
    """Both sides say where they are, who came, and how it ended, in the words of socket 1.1."""
    server_options = exchange.server.split(maxsplit=1)
    if family == "tcp":
        server = start("-s", *server_options, "-B", "127.0.0.1", "0", cwd=tmp_path)
        server_begin = f"inet: listening on port {server.port}\n"
        place = ["127.0.0.1", str(server.port)]
        server_begin += "inet: connection from 127.0.0.1\n"
        client_begin = f"inet: connected to 127.0.0.1 port {server.port}\n"
    else:
        server = start("-s", *server_options, "./u.sock", cwd=tmp_path)
        server_begin = "unix: bound to ./u.sock\nunix: connection from ./u.sock\n"
        server.wait_stderr("bound to")
        place = ["./u.sock"]
        client_begin = "unix: connected to ./u.sock\n"
    client = start(*exchange.client.split(), *place, cwd=tmp_path)
    server.wait_stderr("connection from")
    if "q" in exchange.server:
        client.end_input()
        client.wait_stderr("end of input")
        server.end_input()
    assert client.finish()[1] == 0
    if "p" not in exchange.server:
        server.end_input()

    assert server.wait() == 0

    # The server's own end of input may come before or after the client's end.
    assert re.sub("end of input on stdin\n", "", server.stderr) == (
        server_begin + exchange.server_end
    )
    assert client.stderr == client_begin + exchange.client_end


def test_port_with_a_name_is_told_by_both(start: StartCommand) -> None:
    """The name of a well-known port follows its number, in brackets."""
    server = start("-sv", "-B", "127.0.0.7", "echo")
    server.wait_stderr(r"^inet: listening on port 7 \(echo\)$")

    client = start("-qv", "127.0.0.7", "7")

    client.end_input()
    client.wait_stderr(r"^inet: connected to 127\.0\.0\.7 port 7 \(echo\)$")


def test_chosen_port_is_told_without_verbose(start: StartCommand) -> None:
    """Port 0 lets the system choose, and then somebody has to say which it is."""
    server = start("-s", "0")

    assert server.port > 0


def test_without_verbose_nothing_is_said(start: StartCommand, tmp_path: Path) -> None:
    """Without -v a good connection leaves stderr empty on both sides."""
    server = start("-s", f"{tmp_path}/s")
    client = start("-q", "--wait", f"{tmp_path}/s")

    assert client.finish(b"hello") == (b"", 0)

    assert server.read(5) == b"hello"
    server.end_input()
    assert server.wait() == 0
    assert (server.stderr, client.stderr) == ("", "")
