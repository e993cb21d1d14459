"""Clients that connect as fast as they can, each in a process of its own.

Run as a program: `storms.py HOST PORT COUNT`. Prints what went wrong, and at the end the number of
whole replies.
"""

import os
import socket
import subprocess
import sys

SIZES = (5, 100, 4000, 20_000)


def talk(host: str, port: int, count: int) -> int:
    """Make connections one after another; return how many got back all that they had sent."""
    whole = 0
    noise = os.urandom(max(SIZES))
    for number in range(count):
        payload = b"%d/%d " % (os.getpid(), number) + noise[: SIZES[number % 16 // 5]]
        try:
            with socket.create_connection((host, port), timeout=30) as connection:
                connection.sendall(payload)
                connection.shutdown(socket.SHUT_WR)
                parts = []
                while part := connection.recv(65536):
                    parts.append(part)
        except OSError as error:
            print(f"connection {number}: {error!r}", flush=True)
            continue
        if b"".join(parts) == payload:
            whole += 1
        else:
            print(
                f"connection {number}: {len(b''.join(parts))} of {len(payload)} bytes", flush=True
            )
    return whole


class Storm:
    """Several clients at once."""

    def __init__(self, place: tuple[str, int], clients: int, connections: int) -> None:
        host, port = place
        self.processes = [
            subprocess.Popen(
                [sys.executable, __file__, host, str(port), str(connections // clients)],
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(clients)
        ]

    @property
    def is_over(self) -> bool:
        """Tell whether every client has ended."""
        return all(process.poll() is not None for process in self.processes)

    def result(self) -> tuple[int, list[str]]:
        """Wait for all; return the number of whole replies, and what went wrong."""
        whole, complaints = 0, []
        for process in self.processes:
            output, _ = process.communicate()
            *wrong, last = output.splitlines() or [f"client ended with {process.returncode}"]
            complaints += wrong
            if last.isdecimal():
                whole += int(last)
            else:
                complaints.append(last)
        return whole, complaints

    def close(self) -> None:
        """End what is left."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.communicate()


if __name__ == "__main__":
    print(talk(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
