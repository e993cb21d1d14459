"""The generator: builds the load program and runs it.

Owns the C program and the form of its answer. Must not know which server is loaded.
"""

import json
import os
import subprocess
from dataclasses import dataclass

from bench.launch import BenchError

_SOURCES = ("load.c", "echo.c")
_FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror")


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of the load program saw."""

    latencies_us: tuple[float, ...]
    first_bytes_us: tuple[float, ...]
    outcomes: dict[str, int]
    elapsed_us: float
    per_second: float
    cpu_us_per_connection: float
    last_error: str

    @property
    def errors(self) -> dict[str, int]:
        """Connections that were not answered as they should be, by what went wrong."""
        return {name: n for name, n in self.outcomes.items() if name != "answered" and n}


@dataclass(frozen=True, slots=True)
class Generator:
    """The compiled load program."""

    path: str
    keep_open: bool = False
    """Shut the sending side down after the answer, not before it."""

    @classmethod
    def build(cls, directory: str) -> "Generator":
        """Compile the load program into a directory."""
        path = os.path.join(directory, "load")
        here = os.path.dirname(os.path.abspath(__file__))
        sources = [os.path.join(here, name) for name in _SOURCES]
        compiler = os.environ.get("CC", "cc")
        try:
            subprocess.run([compiler, *_FLAGS, *sources, "-o", path], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise BenchError(f"cannot compile the load program with {compiler!r}") from error
        return cls(path)

    def paced(self, address: str, *, per_second: int, count: int) -> Load:
        """Start connections at fixed moments, whatever the server does."""
        return self._run("paced", address, "-r", str(per_second), "-n", str(count))

    def replay(self, address: str, path: str) -> Load:
        """Start connections at the moments of a file, in nanoseconds since the begin."""
        return self._run("replay", address, "-f", path)

    def closed(self, address: str, *, at_once: int, seconds: float = 0, count: int = 0) -> Load:
        """Keep so many connections under way, for a time or for a number of them."""
        amount = ("-d", str(seconds)) if seconds else ("-n", str(count))
        return self._run("closed", address, "-c", str(at_once), *amount)

    def burst(self, address: str, *, count: int) -> Load:
        """Start all connections at the same moment."""
        return self._run("burst", address, "-n", str(count))

    def _run(self, *arguments: str) -> Load:
        command = [self.path, *arguments, *(("-k",) if self.keep_open else ())]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0:
            raise BenchError(f"cannot load {arguments[1]!r}: {done.stderr.strip()}")
        answer = json.loads(done.stdout)
        return Load(
            latencies_us=tuple(value / 1e3 for value in answer["latencies_ns"]),
            first_bytes_us=tuple(value / 1e3 for value in answer["first_bytes_ns"]),
            outcomes=answer["outcomes"],
            elapsed_us=answer["elapsed_ns"] / 1e3,
            per_second=answer["in_window"] / (answer["elapsed_ns"] / 1e9),
            cpu_us_per_connection=answer["cpu_us"] / max(1, answer["started"]),
            last_error=answer["last_error"],
        )
