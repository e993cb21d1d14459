"""`[agent]` of a file: a real HAProxy asks, and sends clients where the answers say."""

import contextlib
import csv
import re
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.clients import Place, connect, exchange
from harness.supervisors import Supervisor, run_socketd, supervising
from harness.waiting import wait_for
from harness.webservers import CONTRIB, NGINX_STREAM, WebServer, find_command
from socketd.control.client import ControlError, state_of
from socketd.system.products import is_built

GREETING = re.compile(rb"(one|two) (\S+)\n")
HOSTS = ("one", "two")


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[dict[str, Supervisor]]:
    """Start two hosts that say their name and the client's address, and then what they are told."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    with supervising(tmp_path) as start:
        found = {name: start(file_of(tmp_path, name)) for name in HOSTS}
        yield found
        for name, host in found.items():
            if host.server.process.poll() is None:
                host.server.signal(signal.SIGTERM)
                control = str(tmp_path / f"{name}.control")
                wait_for(lambda at=control: is_stopping(at), "the first signal was heard")  # type: ignore[misc]  # its own


def is_stopping(control: str) -> bool:
    """Tell whether a server has been told to stop: the next signal ends its delay."""
    try:
        return state_of(control).server.state == "stopping"
    except ControlError:  # it had not begun
        return True


def end(host: Supervisor) -> None:
    """End the delay of a host that was told to stop."""
    host.server.signal(signal.SIGTERM)
    try:
        assert host.server.wait() == 0
    except subprocess.TimeoutExpired:
        raise AssertionError(f"it does not end:\n{host.server.log_text()}") from None


def file_of(folder: Path, name: str) -> str:
    """Return the file of a host."""
    return (
        f'control = "{folder}/{name}.control"\n'
        '[agent]\nlisten = "tcp:127.0.0.1:0"\n'
        "[service.echo]\n"
        f"program = \"sh -c 'echo {name} $REMOTE_ADDR; exec cat'\"\n"
        'listen = ["tcp:127.0.0.1:0"]\nproxy_protocol = ["127.0.0.1"]\n'
        'stop_delay = "1h"\nworkers.max = 4\n'
    )


@pytest.fixture
def stats() -> Iterator[Path]:
    """Give the path of the socket at which HAProxy, another user, tells what it knows."""
    with tempfile.TemporaryDirectory(prefix="socketd-stats-") as folder:
        Path(folder).chmod(0o777)
        yield Path(folder) / "stats"


@contextlib.contextmanager
def in_front(
    kind: str, file: str, hosts: dict[str, Supervisor], stats: Path | None = None
) -> Iterator[WebServer]:
    """Run a balancer with a file that we ship; of its three hosts the last is not there."""
    if find_command(kind) is None:
        pytest.skip(f"{kind} is not installed")

    def fitted(place: Place) -> str:
        text = (CONTRIB / "fleet" / file).read_text()
        text = text.replace("bind :7000", f"bind {place[0]}:{place[1]}")
        text = text.replace("listen 7000", f"listen {place[0]}:{place[1]}")
        text = text.replace("agent-inter 1s", "agent-inter 300ms").replace("check 2s", "check 15s")
        for number, host in enumerate(hosts.values(), 1):
            to = host.place("echo")
            agent = f" agent-port {host.place('agent')[1]}" if kind == "haproxy" else ""
            text = text.replace(f"192.0.2.{number}:7000", f"{to[0]}:{to[1]}{agent}")
        text = text.replace("192.0.2.3:7000", "127.0.0.1:1")
        return text if stats is None else f"{text}global\n    stats socket {stats} mode 666\n"

    server = WebServer(kind, "", "", is_tcp=True, snippet=fitted)
    try:
        yield server
    finally:
        server.close()


def seen(stats: Path) -> dict[str, tuple[str, int, str]]:
    """Return status, weight and limit of each host, as HAProxy has them."""
    with connect(str(stats)) as asking:
        asking.sendall(b"show stat socketd_hosts 4 -1\n")
        with asking.makefile() as answer:
            rows = list(csv.DictReader(answer))
    return {row["svname"]: (row["status"], int(row["weight"]), row["slim"]) for row in rows}


def greeted(place: Place, client: str = "127.0.0.1") -> tuple[socket.socket, str, str]:
    """Connect as a client at an address; return its connection, the host and who that has seen."""
    connection = socket.create_connection(place, timeout=30, source_address=(client, 0))  # type: ignore[arg-type]  # TCP
    with connection.makefile("rb") as words:
        found = GREETING.fullmatch(words.readline())
    assert found is not None
    return connection, found[1].decode(), found[2].decode()


def one_after_another(place: Place, count: int) -> set[str]:
    """Return which hosts serve some clients."""
    names = set()
    for _ in range(count):
        connection, name, _address = greeted(place)
        connection.close()
        names.add(name)
    return names


def test_clients_go_where_the_hosts_say(hosts: dict[str, Supervisor], stats: Path) -> None:
    """Weights follow the load; who is drained, or told to stop, gets nobody before it closes."""
    with in_front("haproxy", "haproxy.cfg", hosts, stats) as balancer:
        place = balancer.place

        def wait_seen(name: str, is_so: Callable[[tuple[str, int, str]], bool]) -> None:
            wait_for(lambda: is_so(seen(stats)[name]), f"{name} is seen as it is")

        for name in HOSTS:
            wait_seen(name, lambda one: one == ("UP", 100, "4"))
        served = [greeted(place, "127.0.0.9") for _ in range(4)]
        assert {address for _, _, address in served} == {"127.0.0.9"}
        for name in HOSTS:
            count = [one for _, one, _ in served].count(name)
            percent = 1 if count == 4 else 25 * (4 - count)
            wait_seen(name, lambda one, percent=percent: one[1] == percent)  # type: ignore[misc]  # its own
        for connection, _, _ in served:
            connection.close()

        run_socketd("drain", "echo", str(hosts["one"].file))
        wait_seen("one", lambda one: one[0].startswith("DRAIN"))
        assert one_after_another(place, 6) == {"two"}
        run_socketd("resume", "echo", str(hosts["one"].file))
        wait_seen("one", lambda one: one[0] == "UP")

        hosts["one"].server.signal(signal.SIGTERM)
        wait_seen("one", lambda one: one[0].startswith("DRAIN"))
        assert one_after_another(place, 6) == {"two"}
        with connect(hosts["one"].place("echo")):  # its listener is still open
            pass
        end(hosts["one"])
        assert one_after_another(place, 6) == {"two"}


def test_question_names_a_service(hosts: dict[str, Supervisor]) -> None:
    """Without a question the answer is about all services but [agent] itself."""
    agent = hosts["one"].place("agent")
    assert exchange(agent, b"echo\n") == b"up ready 100% maxconn:4\n"
    assert exchange(agent, b"") == b"up ready 100% maxconn:4\n"
    assert exchange(agent, b"web") == b"stopped #there is no such service here: web\n"


def test_nginx_passes_over_who_is_not_there(hosts: dict[str, Supervisor], tmp_path: Path) -> None:
    """The program has the client's address, and a host that has gone is nobody's trouble."""
    if not NGINX_STREAM.exists():
        pytest.skip("libnginx-mod-stream is not installed")
    with in_front("nginx-stream", "nginx-stream.conf", hosts) as balancer:
        connection, _, address = greeted(balancer.place, "127.0.0.9")
        connection.close()
        assert address == "127.0.0.9"
        hosts["one"].server.signal(signal.SIGTERM)
        wait_for(lambda: is_stopping(str(tmp_path / "one.control")), "it has heard")
        end(hosts["one"])
        assert one_after_another(balancer.place, 6) == {"two"}
