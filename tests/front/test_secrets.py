"""What a service sets for its programs is for them alone: it stands in no arguments."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import fastcgi, scgi
from harness.clients import Place, connect, read_all
from harness.processes import all_processes
from harness.servers import Server
from harness.supervisors import SOCKETD
from harness.waiting import wait_for
from socketd.system.products import is_built

from .conftest import Script

pytestmark = pytest.mark.slow

SECRET = "hunter2-of-the-service"
# Shows it, which is seen at the end, and stays as long as the body of its request does.
PROGRAM = '#!/bin/sh\nprintf \'\\r\\n%s|%s|\' "$TOKEN" "$REMOTE_ADDR"\ncat\n'
FILE = """
[service.web]
listen = ["unix:{place}"]
front = "{front}"
{what}
{ready}
environment = {{ TOKEN = "{secret}", REMOTE_ADDR = "own" }}
worker = "native"
"""
Run = Callable[..., Server]


@pytest.fixture
def run() -> Iterator[Run]:
    """Run `socketd` with a subcommand; it must leave nothing behind."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    servers: list[Server] = []

    def start(subcommand: str, *arguments: str, **environment: str) -> Server:
        command = (SOCKETD, subcommand, "--log-format", "json")
        servers.append(Server([*arguments], environment, command=command, is_measured=False))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def descendants(root: int) -> set[int]:
    """Return a process and all that descend from it."""
    parents = {one.pid: one.parent for one in all_processes()}
    found = set()
    for pid in parents:
        ancestor = pid
        while ancestor in parents and ancestor != root:
            ancestor = parents[ancestor]
        if ancestor == root:
            found.add(pid)
    return found


def arguments_of_tree(root: int) -> list[bytes]:
    """Return the arguments of a process and all that descend from it."""
    return [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in descendants(root)]


def is_at_work(root: int) -> bool:
    """Tell whether the program has said what it shows, and reads its body."""
    ours = descendants(root)
    return any(one.name == "cat" and one.pid in ours for one in all_processes())


def look(server: Server, place: Place, protocol: str) -> tuple[bytes, list[bytes]]:
    """Begin a request; return what its program says, and all arguments while it is at work."""
    with connect(place) as connection:
        names = {"CONTENT_LENGTH": "1", "PATH_INFO": "/show.cgi", "SCGI": "1"}
        if protocol == "scgi":
            connection.sendall(scgi.head(names))
        else:
            peer = fastcgi.Peer(connection)
            peer.send([fastcgi.begin(), *fastcgi.stream(4, 1, fastcgi.encode_pairs(names))])
        wait_for(lambda: is_at_work(server.pid), "the program reads its body")
        arguments = arguments_of_tree(server.pid)
        if protocol == "scgi":
            connection.sendall(b".")
            connection.shutdown(socket.SHUT_WR)
            said = read_all(connection)
        else:
            peer.send(fastcgi.stream(5, 1, b"."))
            said = peer.read_answer().stdout
        return said.removesuffix(b"."), arguments


@pytest.mark.parametrize(
    ("front", "kind", "ready"),
    [
        ("fcgi", "program", ""),
        ("fcgi", "root", ""),
        ("scgi", "program", ""),
        ("scgi", "program", "load"),
        ("scgi", "root", ""),
    ],
)
def test_environment_of_a_service_is_in_no_arguments(
    run: Run, script: Script, tmp_path: Path, front: str, kind: str, ready: str
) -> None:
    """By either protocol, and it wins over what there is to say about the connection."""
    program = script(PROGRAM)
    what = f'program = "{program}"' if kind == "program" else f'root = "{tmp_path}"'
    file = tmp_path / "services.toml"
    text = FILE.format(
        place=tmp_path / "s",
        front=front,
        what=what,
        ready=f'ready = "{ready}"' if ready else "",
        secret=SECRET,
    )
    file.write_text(text)
    server = run("run", str(file))
    server.wait_event("service_ready")

    said, arguments = look(server, str(tmp_path / "s"), front)

    assert f"{SECRET}|own|".encode() in said
    assert len(arguments) >= 4
    assert not any(SECRET.encode() in one for one in arguments)


@pytest.mark.parametrize("protocol", ["fcgi", "scgi"])
def test_value_may_come_from_the_environment(
    run: Run, script: Script, tmp_path: Path, protocol: str
) -> None:
    """`--env NAME` puts it into no arguments, not even our own."""
    place = str(tmp_path / "s")
    server = run("cgi", f"--{protocol}", place, "--env", "TOKEN", script(PROGRAM), TOKEN=SECRET)
    server.wait_event("service_ready", lambda one: place in str(one["listener"]))

    said, arguments = look(server, place, protocol)

    assert SECRET.encode() in said
    assert not any(SECRET.encode() in one for one in arguments)


@pytest.mark.parametrize("ready", ["fork", "relay!"])
def test_arguments_of_a_program_are_in_no_arguments_of_ours(
    run: Run, tmp_path: Path, ready: str
) -> None:
    """Of a template and of workers that wait, everybody sees the name of the service alone."""
    file = tmp_path / "services.toml"
    file.write_text(
        f'[service.web]\nlisten = ["unix:{tmp_path}/s"]\nready = "{ready}"\nworker = "native"\n'
        f'program = ["/bin/cat", "-", "{SECRET}"]\nenvironment = {{ TOKEN = "{SECRET}" }}\n'
    )
    server = run("run", str(file))
    server.wait_event("service_ready")

    ours = {one.pid for one in all_processes() if one.name in ("socketd-zygote", "socketd-worker")}
    shown = {Path(f"/proc/{pid}/cmdline").read_bytes() for pid in ours & descendants(server.pid)}

    assert shown == {b"socketd: web\0"}
