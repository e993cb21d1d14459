"""Whether an installed socketd works: run by the Python beside which it is installed.

    PYTHON release/smoke.py BIN [KINDS [PROGRAM]]

Owns what is asked of an installation, in the folder BIN with its commands: each command says its
version or its usage, a native worker answers, a held program answers, FastCGI works with workers of
Python. KINDS are the kinds of workers, `native,python` if nothing is said: an emulator has not all
system calls. PROGRAM is what is served, `cat` if nothing is said.
Nothing is imported but the standard library. Exits with 1 and a line if something is wrong.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator

_SECONDS = 60.0
_VARIABLES = {"GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "GET", "SCRIPT_NAME": "/x"}
_PAGE = '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\n$REQUEST_METHOD"\n'


class BrokenError(Exception):
    """Something does not work; the text says what."""


def expect(*, fact: bool, text: str) -> None:
    """Raise BrokenError if it is not so."""
    if not fact:
        raise BrokenError(text)


@contextlib.contextmanager
def served(command: list[str], folder: str, events: list[dict[str, object]]) -> Iterator[str]:
    """Start a server at a socket in a folder, which the word {} stands for; yield its path.

    What is logged until it is ready goes to `events`.
    """
    path = os.path.join(folder, "socket")
    command = [path if word == "{}" else word for word in command]
    command[-1:-1] = ["--log-format", "json", "--log-level", "info"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            events.append(json.loads(line) if line.startswith("{") else {"text": line})
            if events[-1].get("event") == "service_ready":
                break
        else:
            raise BrokenError(f"{command}: {events[-1] if events else 'no word'}")
        yield path
    finally:
        process.terminate()
        process.communicate(timeout=_SECONDS)
    expect(fact=process.returncode == 0, text=f"{command}: ended with {process.returncode}")


def asked(path: str, request: bytes) -> bytes:
    """Return what comes back for a request."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_SECONDS)
        connection.connect(path)
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def record(kind: int, content: bytes) -> bytes:
    """Return a record of FastCGI."""
    head = bytes([1, kind, 0, 1]) + len(content).to_bytes(2, "big") + bytes(2)
    return head + content


def fastcgi_request() -> bytes:
    """Return a request without a body."""
    pairs = b"".join(
        bytes([len(name), len(value)]) + name.encode() + value.encode()
        for name, value in _VARIABLES.items()
    )
    begin = record(1, bytes([0, 1, 0, 0, 0, 0, 0, 0]))
    return begin + record(4, pairs) + record(4, b"") + record(5, b"")


def check_commands(folder: str) -> None:
    """See that each command starts."""
    for name in ("socket", "socketd"):
        done = subprocess.run(
            [os.path.join(folder, name), "--version"], capture_output=True, text=True, check=False
        )
        expect(fact=done.returncode == 0 and bool(done.stdout), text=f"{name}: {done.stderr}")
    for name in ("scgi2cgi", "fcgi2cgi"):
        help_text = subprocess.run(
            [os.path.join(folder, name), "-h"], capture_output=True, text=True, check=False
        )
        expect(fact=name in help_text.stdout + help_text.stderr, text=f"{name} says nothing")


def check_service(folder: str, kinds: list[str], program: str) -> None:
    """See that workers of each kind serve, and native ones at each level."""
    command = [os.path.join(folder, "socket"), "-l", "-f", "-W", "2"]
    for level in ("fork", "load!", "read!") if "native" in kinds else ("fork",):
        events: list[dict[str, object]] = []
        by = [*command, "--worker", kinds[0], "--ready", level, "-p", program]
        with (
            tempfile.TemporaryDirectory() as place,
            served([*by, "-s", "{}"], place, events) as path,
        ):
            expect(fact=asked(path, b"hello\n") == b"hello\n", text=f"no answer at {level}")
        held = [f"{one.get('ready')}!" for one in events]
        names = [one.get("event") for one in events]
        expect(fact="native_worker_missing" not in names, text="there are no native workers")
        expect(fact=level in ("fork", *held), text=f"not held at {level}: {held}")
    with tempfile.TemporaryDirectory() as place:
        page = os.path.join(place, "page")
        with open(page, "w") as file:
            file.write(_PAGE)
        os.chmod(page, 0o700)
        for kind in kinds:
            by = ["--front", "fcgi", "--worker", kind, "-p", page, "-s", "{}"]
            with served([*command, *by], place, []) as path:
                answer = asked(path, fastcgi_request())
            expect(fact=b"GET" in answer, text=f"FastCGI, {kind}: {answer!r}")


def main(folder: str, kinds: str = "native,python", program: str = "cat") -> int:
    """Check it all."""
    try:
        check_commands(folder)
        check_service(folder, kinds.split(","), program)
    except BrokenError as error:
        sys.stderr.write(f"smoke: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
