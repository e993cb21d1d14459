"""fcgi2cgi as a service: behind `socket -p`, with a client of somebody else."""

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from harness.clients import connect
from harness.fastcgi import Peer, request
from harness.processes import marked
from harness.servers import SOCKET, Server, clean_environment
from harness.waiting import wait_for

from .conftest import Script
from .wrappers import HEAD

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("family", ["unix", "tcp"])
def test_connections_are_served_beside_each_other(
    fcgi2cgi: Path, script: Script, tmp_path: Path, family: str
) -> None:
    """Each has its own process, keeps it, and sees only its own requests."""
    program = script(f'{HEAD}; echo "$NAME $REMOTE_ADDR"; cat')
    command = shlex.join([str(fcgi2cgi), program])
    place = [f"{tmp_path}/s"] if family == "unix" else ["-B", "127.0.0.1", "0"]
    server = Server(["-W", "2", "-p", command, "-s", *place], is_measured=False)
    with contextlib.closing(server), contextlib.ExitStack() as stack:
        peers = [
            Peer(stack.enter_context(contextlib.closing(connect(server.place)))) for _ in range(5)
        ]
        for turn in range(3):
            for number, peer in enumerate(peers):
                peer.send(request({"NAME": f"{turn}-{number}"}, b"body", keep=True))
            for number, peer in enumerate(peers):
                assert peer.read_answer().body == f"{turn}-{number} \nbody".encode()


def test_the_launch_line_serves_in_the_background(
    fcgi2cgi: Path, script: Script, mark: str
) -> None:
    """As it is written, with -b -f -q -l, and to its end by SIGTERM."""
    program = script(f"{HEAD}; cat; echo oops >&2")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    line = f'{SOCKET} -B 127.0.0.1 -s {port} -b -f -q -l -p "{fcgi2cgi} {program}"'
    started = subprocess.run(
        ["sh", "-c", line], env=clean_environment(mark), stdin=subprocess.DEVNULL, check=False
    )
    assert started.returncode == 0

    for _ in range(2):
        peer = Peer(connect(("127.0.0.1", port)))
        with contextlib.closing(peer):
            for _ in range(3):
                peer.send(request(None, b"body", keep=True))
                answer = peer.read_answer()
                assert (answer.body, answer.stderr) == (b"body", b"oops\n")
    pids = {one.pid for one in marked(mark)}
    masters = [one for one in marked(mark) if one.parent not in pids]
    os.kill(masters[0].pid, signal.SIGTERM)
    wait_for(lambda: marked(mark) == [], "everything of the service is gone")


@pytest.mark.shipped
@pytest.mark.parametrize("family", ["unix", "tcp"])
def test_the_client_of_the_reference_library_is_served(
    fcgi2cgi: Path, script: Script, tmp_path: Path, family: str
) -> None:
    """cgi-fcgi passes a CGI request on, and prints the answer as if it were the program."""
    if shutil.which("cgi-fcgi") is None:
        pytest.skip("cgi-fcgi is not installed")
    program = script(f'{HEAD}; echo "$REQUEST_METHOD $QUERY_STRING"; cat; echo oops >&2; exit 3')
    command = shlex.join([str(fcgi2cgi), program])
    place = [f"{tmp_path}/s"] if family == "unix" else ["-B", "127.0.0.1", "0"]
    server = Server(["-W", "1", "-p", command, "-s", *place], is_measured=False)
    body = bytes(range(256)) * 4000
    with contextlib.closing(server):
        target = f"{tmp_path}/s" if family == "unix" else f"127.0.0.1:{server.place[1]}"
        server.wait_event("service_ready")
        variables = {
            "REQUEST_METHOD": "POST",
            "QUERY_STRING": "a=b",
            "CONTENT_LENGTH": str(len(body)),
        }
        done = subprocess.run(
            ["cgi-fcgi", "-bind", "-connect", target],
            input=body,
            env=variables,
            capture_output=True,
            check=False,
        )

    assert done.stdout == b"Content-Type: text/plain\r\n\r\nPOST a=b\n" + body
    assert done.stderr == b"oops\n"
    assert done.returncode == 3
