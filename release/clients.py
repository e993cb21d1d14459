"""Clients that come without a pause until standard input ends, and a count of those who were lost.

    python3 release/clients.py ADDRESS...

Owns what counts as lost. An ADDRESS is a port of this machine, or the path of a UNIX socket, of a
service that answers with what it was sent. At each there are two clients at a time, and one who
comes first and is served until the end. Says "ready" when each of these has an answer or has
connected; at the end what was made and lost, in a line of JSON. Nothing is imported but the
standard library: it runs where a package is tried.
"""

import json
import socket
import sys
import threading
import time

_SECONDS = 60.0
_AT_A_TIME = 2
_PAUSE = 0.002


class Count:
    """What was made, and why somebody was lost."""

    def __init__(self) -> None:
        self.made = 0
        self.lost: list[str] = []
        self._lock = threading.Lock()

    def add(self, reason: str) -> None:
        """Count a client; an empty reason is a success."""
        with self._lock:
            self.made += 1
            if reason:
                self.lost.append(reason)


def connect(address: str) -> socket.socket:
    """Return a connection."""
    is_path = address.startswith("/")
    one = socket.socket(socket.AF_UNIX if is_path else socket.AF_INET)
    one.settimeout(_SECONDS)
    one.connect(address if is_path else ("127.0.0.1", int(address)))
    return one


def converse(connection: socket.socket, text: bytes) -> str:
    """Send a text, expect it back and then the end; return what is wrong."""
    connection.sendall(text)
    connection.shutdown(socket.SHUT_WR)
    answer = b"".join(iter(lambda: connection.recv(65536), b""))
    return "" if answer == text else f"{answer!r} for {text!r}"


def come(address: str, over: threading.Event, count: Count) -> None:
    """Be one client after another until it is over."""
    number = 0
    while not over.is_set():
        number += 1
        try:
            with connect(address) as connection:
                count.add(converse(connection, b"%d\n" % number))
        except OSError as error:
            count.add(f"{address}: {error}")
        time.sleep(_PAUSE)


def stay(address: str, over: threading.Event, started: threading.Barrier, count: Count) -> None:
    """Be a client who is served all the time."""
    try:
        with connect(address) as connection:
            connection.sendall(b"begin ")
            started.wait(_SECONDS)
            over.wait()
            connection.sendall(b"end")
            connection.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
            count.add("" if answer == b"begin end" else f"{address}: {answer!r} to who stayed")
    except (OSError, threading.BrokenBarrierError) as error:
        started.abort()
        count.add(f"{address}: who stayed: {error}")


def main(*addresses: str) -> int:
    """Let them come, and say how it went."""
    over, count = threading.Event(), Count()
    started = threading.Barrier(len(addresses) + 1)
    threads = [threading.Thread(target=stay, args=(one, over, started, count)) for one in addresses]
    for thread in threads:
        thread.start()
    started.wait(_SECONDS)
    threads += [
        threading.Thread(target=come, args=(one, over, count))
        for one in addresses
        for _ in range(_AT_A_TIME)
    ]
    for thread in threads[len(addresses) :]:
        thread.start()
    print("ready", flush=True)
    sys.stdin.read()
    over.set()
    for thread in threads:
        thread.join()
    print(json.dumps({"made": count.made, "lost": count.lost}))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
