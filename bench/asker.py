"""A process that asks a server how it is, at fixed moments: `asker state|metrics WHERE PER_SECOND`.

Each line on stdin says for how many seconds; when they are over the number of answers is a line on
stdout.
"""

import socket
import sys
import time

from bench.servers import HOST

_QUESTION = b'{"get": "state"}\n'
_REQUEST = b"GET /metrics HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n"
_SECONDS = 10.0


def main() -> None:
    """Ask whenever a line says so."""
    what, where, per_second = sys.argv[1], sys.argv[2], int(sys.argv[3])
    for line in sys.stdin:
        ask = _questions(where) if what == "state" else None
        begun, count = time.monotonic(), 0
        for number in range(round(float(line) * per_second)):
            time.sleep(max(0.0, begun + number / per_second - time.monotonic()))
            count += _asked(ask) if ask is not None else _scraped(int(where))
        if ask is not None:
            ask.close()
        print(count, flush=True)


def _questions(path: str) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(_SECONDS)
    client.connect(path)
    return client


def _asked(client: socket.socket) -> bool:
    client.sendall(_QUESTION)
    answer = b""
    while not answer.endswith(b"\n"):
        part = client.recv(1 << 20)
        if not part:
            return False
        answer += part
    return answer.startswith(b'{"format":1')


def _scraped(port: int) -> bool:
    answer = b""
    with socket.create_connection((HOST, port), _SECONDS) as client:
        client.sendall(_REQUEST)
        while part := client.recv(1 << 20):
            answer += part
    return b" 200 " in answer[:20]


if __name__ == "__main__":
    main()
