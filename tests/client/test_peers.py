"""Ours against each other and against the programs that people have, both directions."""

import os
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from harness.commands import Command, StartCommand, listening_port
from harness.waiting import wait_for

pytestmark = pytest.mark.slow

FAMILIES = ("tcp4", "tcp6", "unix")
PEERS = ("ours", "socat", "nc", "ncat")
HOSTS = {"tcp4": "127.0.0.1", "tcp6": "::1"}
PAYLOADS = (os.urandom(300_000) + b"\r\n\n", os.urandom(500_000) + b"\n\r")


def _need(peer: str) -> None:
    if peer == "ours":
        return
    if shutil.which(peer) is None:
        pytest.skip(f"{peer} is not installed")
    if peer == "nc":
        about = subprocess.run(["nc", "-h"], capture_output=True, text=True, check=False)
        if "OpenBSD" not in about.stderr + about.stdout:
            pytest.skip("nc is not netcat-openbsd")


def _client(start: StartCommand, peer: str, family: str, place: str) -> Command:
    if peer == "ours":
        operands = [place] if family == "unix" else [HOSTS[family], place]
        return start("-N", "--wait", *operands)
    if peer == "socat":
        target = {
            "tcp4": f"TCP4:127.0.0.1:{place}",
            "tcp6": f"TCP6:[::1]:{place}",
            "unix": f"UNIX-CONNECT:{place},retry=100,interval=0.05",
        }[family]
        return start("-t", "30", "STDIO", target, executable="socat")
    options = {"nc": ["-N"], "ncat": []}[peer]
    operands = ["-U", place] if family == "unix" else [HOSTS[family], place]
    return start(*options, *operands, executable=peer)


def _server(start: StartCommand, peer: str, family: str, path: str, file: Path) -> Command:
    with open(file, "rb") as stdin:
        if peer == "ours":
            operands = [path] if family == "unix" else ["-B", HOSTS[family], "0"]
            return start("-svN", *operands, stdin=stdin)
        if peer == "socat":
            source = {
                "tcp4": "TCP4-LISTEN:0,bind=127.0.0.1",
                "tcp6": "TCP6-LISTEN:0,bind=[::1]",
                "unix": f"UNIX-LISTEN:{path}",
            }[family]
            return start("-t", "30", source, "STDIO", executable="socat", stdin=stdin)
        options = {"nc": ["-N", "-l"], "ncat": ["-l"]}[peer]
        operands = ["-U", path] if family == "unix" else [HOSTS[family], "0"]
        return start(*options, *operands, executable=peer, stdin=stdin)


def _is_unix_listening(path: str) -> bool:
    rows = Path("/proc/net/unix").read_text().splitlines()
    return any(row.endswith(f" {path}") and " 00010000 " in row for row in rows)


def _place_of(server: Command, family: str, path: str) -> str:
    if family == "unix":
        wait_for(lambda: _is_unix_listening(path), "the path is listened on")
        return path
    port = wait_for(lambda: listening_port(server.pid), f"{server.arguments} listens")
    return str(port)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("server_kind", "client_kind"),
    [("ours", peer) for peer in PEERS] + [(peer, "ours") for peer in PEERS if peer != "ours"],
)
def test_both_directions_arrive_whole(
    start: StartCommand, server_kind: str, client_kind: str, family: str, tmp_path: Path
) -> None:
    """A file from the server and another from the client cross, byte for byte."""
    _need(server_kind)
    _need(client_kind)
    path = f"{tmp_path}/s"
    # nc -l leaves when its peer has ended and nothing of its own input is in its buffer, of 16 KiB,
    # whatever there is still to be read.
    page = PAYLOADS[0][-16_000:] if server_kind == "nc" else PAYLOADS[0]
    (tmp_path / "page").write_bytes(page)
    server = _server(start, server_kind, family, path, tmp_path / "page")
    client = _client(start, client_kind, family, _place_of(server, family, path))
    outputs: list[tuple[bytes, int]] = []
    reader = threading.Thread(target=lambda: outputs.append(server.drain()))
    reader.start()

    output, status = client.finish(PAYLOADS[1])

    reader.join()
    assert (output == page, status) == (True, 0)
    assert (outputs[0][0] == PAYLOADS[1], outputs[0][1]) == (True, 0)


@pytest.mark.parametrize("peer", PEERS)
def test_program_behind_our_server_answers_every_peer(
    start: StartCommand, peer: str, tmp_path: Path
) -> None:
    """A relayed program reads to the end of the request, and its answer is delivered whole."""
    _need(peer)
    server = start("-svlc", "-p", "tr a-z A-Z", f"{tmp_path}/s")
    server.wait_stderr("bound to")

    client = _client(start, peer, "unix", f"{tmp_path}/s")

    assert client.finish(b"shout\n") == (b"SHOUT\r\n", 0)


def test_our_client_reads_a_reset_less_end_from_a_listener_that_closes(
    start: StartCommand,
) -> None:
    """A peer that says its piece and closes is read to the end, like a daytime service."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = start("127.0.0.1", str(listener.getsockname()[1]))
        with listener.accept()[0] as connection:
            connection.sendall(b"the time\n")
        assert client.drain() == (b"the time\n", 0)
