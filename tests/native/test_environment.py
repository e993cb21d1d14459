"""The environment that a program finds."""

import ctypes
import os
import re
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from .fake_master import BASE_ENVIRONMENT, FakeMaster, read_to_end

_PATH_SIZE = 108
_PRINT = ("/usr/bin/env", "env", "-0")


def _environment_of(
    master: FakeMaster, listener: socket.socket, client: socket.socket, address: object
) -> dict[str, str]:
    """Connect and return the environment of the program that answers."""
    master.start(listener, _PRINT)
    master.spawn(0)
    client.connect(address)  # type: ignore[arg-type]  # getsockname() is Any
    entries = read_to_end(client).decode().split("\0")
    assert entries.pop() == ""
    pairs = [(name, value) for name, _, value in (entry.partition("=") for entry in entries)]
    environment = dict(pairs)
    assert len(pairs) == len(environment)
    assert re.fullmatch(r"[0-9a-f]{24}", environment.pop("UNIQUE_ID"))
    assert list(environment)[: len(BASE_ENVIRONMENT)] == list(BASE_ENVIRONMENT)
    return environment


def _tcp(local: str, local_port: int, remote: str, remote_port: int) -> dict[str, str]:
    return {
        **BASE_ENVIRONMENT,
        "PROTO": "TCP",
        "TCPLOCALIP": local,
        "TCPLOCALPORT": str(local_port),
        "TCPREMOTEIP": remote,
        "TCPREMOTEPORT": str(remote_port),
        "REMOTE_ADDR": remote,
        "REMOTE_PORT": str(remote_port),
        "REMOTE_HOST": remote,
        "SERVER_ADDR": local,
        "SERVER_PORT": str(local_port),
    }


def _ipc(**more: str) -> dict[str, str]:
    return {
        **BASE_ENVIRONMENT,
        "PROTO": "IPC",
        "IPCREMOTEEUID": str(os.geteuid()),
        "IPCREMOTEEGID": str(os.getegid()),
        "IPCREMOTEPID": str(os.getpid()),
        **more,
    }


@pytest.fixture
def dual_stack() -> Iterator[socket.socket]:
    """Return a listener that takes IPv6 and IPv4."""
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 on this machine")
    address = ("::", 0)
    with socket.create_server(address, family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        yield listener


@pytest.fixture
def unix_client() -> Iterator[socket.socket]:
    """Return a UNIX socket that is not connected."""
    with socket.socket(socket.AF_UNIX) as client:
        yield client


def _listen(address: str | bytes) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    return listener


@pytest.mark.shipped
def test_ipv4_is_described_in_every_dialect(master: FakeMaster, listener: socket.socket) -> None:
    """Both ends of a connection, under the names of every super-server, behind the base."""
    address = listener.getsockname()
    with socket.socket() as client:
        client.bind(("127.0.0.2", 0))
        found = _environment_of(master, listener, client, address)
        port = client.getsockname()[1]

    assert found == _tcp("127.0.0.1", address[1], "127.0.0.2", port)


def test_ipv6_is_described_in_its_short_form(master: FakeMaster, dual_stack: socket.socket) -> None:
    """IPv6 addresses are written as inet_ntop() writes them."""
    server_port = dual_stack.getsockname()[1]
    with socket.socket(socket.AF_INET6) as client:
        found = _environment_of(master, dual_stack, client, ("::1", server_port))
        port = client.getsockname()[1]
    record = master.board.record(0)

    assert found == _tcp("::1", server_port, "::1", port)
    assert (record.client.family, record.client.port) == (socket.AF_INET6, port)
    assert record.client.address == bytes(15) + b"\1"


def test_a_mapped_address_is_the_ipv4_address_it_stands_for(
    master: FakeMaster, dual_stack: socket.socket
) -> None:
    """A program behind a dual-stack listener sees IPv4 peers as behind an IPv4 one."""
    server_port = dual_stack.getsockname()[1]
    with socket.socket() as client:
        found = _environment_of(master, dual_stack, client, ("127.0.0.1", server_port))
        port = client.getsockname()[1]
    record = master.board.record(0)

    assert found == _tcp("127.0.0.1", server_port, "127.0.0.1", port)
    assert (record.client.family, record.client.port) == (socket.AF_INET, port)
    assert record.client.address == b"\x7f\0\0\1" + bytes(12)


def test_a_unix_peer_is_described_by_its_credentials(
    master: FakeMaster, unix_client: socket.socket, tmp_path: Path
) -> None:
    """Who connects over a path is known by process, user and group."""
    path = str(tmp_path / "s")
    with _listen(path) as listener:
        found = _environment_of(master, listener, unix_client, path)
    record = master.board.record(0)

    assert found == _ipc(IPCLOCALPATH=path)
    assert (record.client.family, record.client.port) == (socket.AF_UNIX, 0)
    assert (record.client.pid, record.client.uid) == (os.getpid(), os.geteuid())
    assert record.client.gid == os.getegid()


def test_a_bound_unix_peer_has_a_path(
    master: FakeMaster, unix_client: socket.socket, tmp_path: Path
) -> None:
    """A client that has bound its socket is named, also by a path that leaves no room for a NUL."""
    path = str(tmp_path / "s")
    own = str(tmp_path / "c")
    own += "c" * (_PATH_SIZE - len(own))
    name = struct.pack(f"=H{_PATH_SIZE}s", socket.AF_UNIX, own.encode())
    # The socket module takes no path of full length.
    assert ctypes.CDLL(None).bind(unix_client.fileno(), name, len(name)) == 0
    with _listen(path) as listener:
        found = _environment_of(master, listener, unix_client, path)

    assert found == _ipc(IPCLOCALPATH=path, IPCREMOTEPATH=own)


def test_an_abstract_address_has_no_path(master: FakeMaster, unix_client: socket.socket) -> None:
    """A name that begins with NUL fits no variable, so none is set."""
    name = b"\0socketd-test-%d" % os.getpid()
    with _listen(name) as listener:
        found = _environment_of(master, listener, unix_client, name)

    assert found == _ipc()
