"""The log in the order of what it is about: a service listens before it has connections."""

import socket

import pytest

from harness.clients import read_all
from harness.managers import passing
from harness.servers import Server
from harness.waiting import wait_for

pytestmark = pytest.mark.slow

ABOUT_CONNECTIONS = {"connection_accepted", "connection_closed", "command_not_run"}


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("program", ["cat", "sh -c 'exit 127'"])
def test_service_is_ready_before_its_first_connection(workers: int, program: str) -> None:
    """A client that has waited in the queue is served at once, and told of in its turn."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        clients = [socket.create_connection(listener.getsockname()) for _ in range(3)]
        for client in clients:
            client.shutdown(socket.SHUT_WR)
        arguments = ["-p", program, "-W", str(workers), "--ready", "fork", "-s"]
        server = Server(arguments, is_quiet=False, **passing(listener))
        try:
            for client in clients:
                assert read_all(client) == b""
                client.close()
            wait_for(lambda: len(server.events("connection_closed")) == 3, "their ends")
        finally:
            server.close()
    events = [str(line["event"]) for line in server.lines]
    told = [event for event in events if event in ABOUT_CONNECTIONS | {"service_ready"}]
    assert told[0] == "service_ready"
    assert told.count("connection_accepted") == told.count("connection_closed") == 3
