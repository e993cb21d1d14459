"""A service with rules, and clients that come from addresses of the loopback network."""

import contextlib
import socket
from pathlib import Path

from harness.clients import Place
from harness.supervisors import run_socketd

SHOW = "sh -c 'read line; echo $line ${TENANT-none} $REMOTE_ADDR'"
ECHO = "sh -c 'read line; echo $line'"  # for levels at which a program has no variables in time


def service(kind: str, *keys: str, program: str = SHOW, listen: str = "tcp:127.0.0.1:0") -> str:
    """Return a file with one service; `kind` is python or a level."""
    way = 'worker = "python"' if kind == "python" else f'ready = "{kind}!"'
    way = 'worker = "native"\nready = "fork"' if kind == "fork" else way
    lines = "\n".join(keys)
    return (
        f'[service.s]\nlisten = ["{listen}"]\nprogram = "{program}"\n{way}\n{lines}\n'
        "[service.s.workers]\nmin = 2\nmax = 8\n"
    )


def complaint_about(folder: Path, *keys: str) -> str:
    """Return what the command says of a file with these keys, which is a mistake."""
    file = folder / "services.toml"
    file.write_text(service("fork", *keys))
    outcome = run_socketd("run", str(file))
    assert outcome.status == 78
    return outcome.stderr


def say(place: Place, host: str = "127.0.0.1", text: bytes = b"hello\n") -> bytes:
    """Return what a client from an address hears, until its connection is closed."""
    if isinstance(place, str):
        client = socket.socket(socket.AF_UNIX)
    else:
        client = socket.socket()
        client.bind((host, 0))
    with client:
        client.settimeout(30)
        client.connect(place)
        # It may have been sent away before it has said anything.
        with contextlib.suppress(OSError):
            client.sendall(text)
            client.shutdown(socket.SHUT_WR)
        heard = b""
        with contextlib.suppress(ConnectionResetError):
            while part := client.recv(65536):
                heard += part
        return heard
