"""--send-proxy: a client says the ends of its connection before anything else."""

import socket
from pathlib import Path

import pytest

from harness.clients import read_all
from harness.commands import run_command
from socketd.admission.proxy_header import Header, parse


def heard(listener: socket.socket, *arguments: str) -> tuple[str, bytes]:
    """Return the name of a client that is run to its end, and what it has sent."""
    listener.listen()
    outcome = run_command(*arguments, payload=b"hello\n")
    assert (outcome.status, outcome.stderr) == (0, "")
    connection, name = listener.accept()
    with connection:
        host = f"[{name[0]}]" if ":" in name[0] else name[0]
        return f"{host}:{name[1]}", read_all(connection)


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_client_says_both_ends_of_its_connection(version: str, host: str) -> None:
    """The header comes first, and the input behind it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.bind((host, 0))
        port = listener.getsockname()[1]
        client, sent = heard(listener, "-q", "--send-proxy", version, host, str(port))

    header = parse(sent)
    assert isinstance(header, Header)
    assert str(header.source) == client
    assert header.destination is not None
    assert (header.destination.host, header.destination.port) == (host, port)
    assert sent[header.size :] == b"hello\n"


@pytest.mark.parametrize(
    ("version", "said"), [("1", b"PROXY UNKNOWN\r\n"), ("2", b"\r\n\r\n\0\r\nQUIT\n \0\0\0")]
)
def test_client_of_a_unix_socket_says_that_it_is_nobody(
    tmp_path: Path, version: str, said: bytes
) -> None:
    """Its ends have no addresses."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{tmp_path}/socket")
        listener.listen()
        outcome = run_command(
            "-q", "--send-proxy", version, f"{tmp_path}/socket", payload=b"hello\n"
        )
        assert outcome.status == 0
        connection, _ = listener.accept()
        with connection:
            assert read_all(connection) == said + b"hello\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--send-proxy", "3", "localhost", "1"], "socket: --send-proxy: '3' is not one of 1, 2\n"),
        (["--send-proxy", "1", "-s", "0"], "socket: --send-proxy is for a client: -s waits for"),
    ],
)
def test_version_that_is_none_and_a_server_are_mistakes(arguments: list[str], said: str) -> None:
    """One line each."""
    outcome = run_command(*arguments)

    assert outcome.status == 15
    assert outcome.stderr.startswith(said)
