"""The PROXY protocol with those who speak it: HAProxy, nginx and swaks."""

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from access.services import service

from harness.clients import Place
from harness.supervisors import Supervisor
from harness.waiting import wait_for
from harness.webservers import NGINX_STREAM, WebServer, find_command
from socketd.programs.peer import Peer

Supervise = Callable[..., Supervisor]

SHOW = "sh -c 'read line; echo $line $REMOTE_ADDR $REMOTE_PORT $SERVER_PORT $PROXYREMOTEIP'"
SMTP = "sh -c 'echo 220 $REMOTE_ADDR $SERVER_PORT; read line'"
TRUSTED = 'proxy_protocol = ["127.0.0.1"]'


@contextmanager
def in_front(kind: str, options: str, backend: Place) -> Iterator[tuple[str, int]]:
    """Run a proxy in front of a service, and give its place."""
    assert isinstance(backend, tuple)
    to = f"{backend[0]}:{backend[1]}"

    def haproxy(place: Place) -> str:
        return (
            f"listen front\n    mode tcp\n    bind {place[0]}:{place[1]}\n"
            f"    server s {to} {options}\n"
        )

    def nginx(place: Place) -> str:
        return f"server {{ listen {place[0]}:{place[1]}; proxy_pass {to}; proxy_protocol on; }}\n"

    if find_command(kind) is None:
        pytest.skip(f"{kind} is not installed")
    if kind == "nginx-stream" and not NGINX_STREAM.exists():
        pytest.skip("libnginx-mod-stream is not installed")
    server = WebServer(
        kind, "", backend, is_tcp=True, snippet=haproxy if kind == "haproxy" else nginx
    )
    try:
        assert isinstance(server.place, tuple)
        yield server.place
    finally:
        server.close()


@pytest.mark.parametrize(
    ("kind", "options"),
    [("haproxy", "send-proxy"), ("haproxy", "send-proxy-v2"), ("nginx-stream", "")],
)
def test_program_and_log_see_the_client_of_a_proxy(
    supervise: Supervise, early: str, kind: str, options: str
) -> None:
    """Its address and port, and the port that it has connected to."""
    supervisor = supervise(service(early, TRUSTED, program=SHOW))
    with in_front(kind, options, supervisor.place("s")) as place, socket.socket() as client:
        client.settimeout(30)
        client.bind(("127.0.0.9", 0))
        client.connect(place)
        client.sendall(b"hello\n")
        own = client.getsockname()[1]
        with client.makefile("rb") as answers:
            heard = answers.readline()

        assert heard.decode() == f"hello 127.0.0.9 {own} {place[1]} 127.0.0.1\n"
        [line] = supervisor.wait_events("connection_closed", 1)
        address = socket.inet_pton(socket.AF_INET, "127.0.0.9")
        assert str(line["peer"]).startswith(f"{Peer(socket.AF_INET, address, own)} via 127.0.0.1:")


@pytest.mark.parametrize("options", ["send-proxy", "send-proxy-v2"])
def test_check_of_a_proxy_is_its_own_connection(supervise: Supervise, options: str) -> None:
    """HAProxy asks whether we are there: in version 1 for itself, in version 2 for nobody."""
    supervisor = supervise(service("fork", TRUSTED, program=SHOW))
    checked = f"{options} check check-send-proxy inter 100ms"
    with in_front("haproxy", checked, supervisor.place("s")):
        lines = supervisor.wait_events("connection_closed", 2)

    for line in lines:
        client, _, proxy = str(line["peer"]).partition(" via ")
        assert client.startswith("127.0.0.1:")
        assert proxy == (client if options == "send-proxy" else "")
    assert supervisor.server.events("connection_refused") == []


@pytest.mark.parametrize("version", ["1", "2"])
def test_swaks_says_for_whom_it_comes(supervise: Supervise, early: str, version: str) -> None:
    """In both versions, before a greeting of SMTP."""
    if shutil.which("swaks") is None:
        pytest.skip("swaks is not installed")
    supervisor = supervise(service(early, TRUSTED, program=SMTP))
    place = supervisor.place("s")
    family = "TCP4" if version == "1" else "AF_INET"
    ends = ["--proxy-source", "192.0.2.7", "--proxy-source-port", "4711"]
    ends += ["--proxy-dest", "198.51.100.2", "--proxy-dest-port", "25"]
    command = ["swaks", "--server", f"{place[0]}:{place[1]}", "--quit-after", "banner"]
    command += ["--proxy-version", version, "--proxy-family", family, *ends]

    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert "220 192.0.2.7 25" in done.stdout, done.stdout + done.stderr
    wait_for(lambda: supervisor.server.events("connection_closed"), "it has ended")
