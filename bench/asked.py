"""What it costs connections that somebody asks the server how it is.

Owns the service, who asks it, and the table. Must not know how a server is loaded.

A round is four blocks of the same load: without questions, with them twice, without. So what a
machine does slowly, and what it does from block to block, meets both sides. A ratio is taken within
a round. Who asks is a process of its own on the same processors; without questions it sleeps.
"""

import contextlib
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

from bench.generator import Generator, Load
from bench.launch import BenchError, unused_port
from bench.processes import cpu_us, descendants, wait_until
from bench.servers import HOST
from bench.tables import table

_START_SECONDS = 20.0
_STOP_SECONDS = 10.0
_AT_ONCE = 8
_RESAMPLED = 2000
_SERVICES = 5
FIGURES = ("connections a second", "p50", "p99", "processor time a connection")


@dataclass(frozen=True, slots=True)
class Curious:
    """Somebody who asks so often; a block is at least so long that there are some questions."""

    title: str
    what: str
    per_second: int
    least_seconds: float


CURIOUS = (
    Curious("the whole state, 100 times a second", "state", 100, 0.1),
    Curious("a scrape of the metrics a second", "metrics", 1, 1.0),
)


@dataclass(frozen=True, slots=True)
class _Block:
    """What a load saw, and the processor time that the server took meanwhile."""

    load: Load
    cpu_us: float


def compare(command: str, rounds: int, seconds: float, say: Callable[[str], None]) -> str:
    """Run so many rounds with blocks of so many seconds; return the table."""
    with tempfile.TemporaryDirectory(prefix="socketd-bench-") as directory:
        generator = Generator.build(directory)
        with _serving(directory, command) as served:
            rows = []
            for curious in CURIOUS:
                say(curious.title)
                ratios = [_round(served, generator, curious, seconds) for _ in range(rounds)]
                rows += _rows(curious, ratios)
    return table(["beside it", "figure", "ratio", "95 % of the median"], rows)


def _round(
    served: "_Served", generator: Generator, curious: Curious, seconds: float
) -> dict[str, float]:
    """Return the ratio of each figure with somebody who asks to the same without."""
    length = max(seconds, curious.least_seconds)
    blocks: dict[bool, list[_Block]] = {True: [], False: []}
    for is_asked in (False, True, True, False):
        asking = served.askers[curious].asking(length) if is_asked else contextlib.nullcontext()
        begun = served.cpu_us()
        with asking:
            load = generator.closed(served.address, at_once=_AT_ONCE, seconds=length)
        if load.errors:
            raise BenchError(f"connections failed: {load.errors}")
        blocks[is_asked].append(_Block(load, served.cpu_us() - begun))
    asked, without = (_figures(blocks[is_asked]) for is_asked in (True, False))
    return {name: asked[name] / without[name] for name in FIGURES}


def _figures(blocks: list[_Block]) -> dict[str, float]:
    latencies = [one for block in blocks for one in block.load.latencies_us]
    cuts = statistics.quantiles(latencies, n=100, method="inclusive")
    per_second = statistics.fmean(block.load.per_second for block in blocks)
    worked = sum(block.cpu_us for block in blocks) / len(latencies)
    return dict(zip(FIGURES, (per_second, cuts[49], cuts[98], worked), strict=True))


def _rows(curious: Curious, ratios: list[dict[str, float]]) -> list[list[str]]:
    rows = []
    for name in FIGURES:
        values = [one[name] for one in ratios]
        low, high = interval(values)
        middle = statistics.median(values)
        rows.append([curious.title, name, f"{middle:.3f}", f"{low:.3f} to {high:.3f}"])
    return rows


def interval(values: list[float]) -> tuple[float, float]:
    """Return between which numbers the median lies in 95 of 100 samples drawn from these."""
    draw = random.Random(1)  # the same table of the same numbers
    middles = sorted(
        statistics.median(draw.choices(values, k=len(values))) for _ in range(_RESAMPLED)
    )
    return middles[round(0.025 * _RESAMPLED)], middles[round(0.975 * _RESAMPLED) - 1]


class _Asker:
    """A process that asks when it is told to."""

    def __init__(self, what: str, where: str, per_second: int) -> None:
        self._least = per_second
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.asker", what, where, str(per_second)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @contextlib.contextmanager
    def asking(self, seconds: float) -> Iterator[None]:
        """Have it ask meanwhile, for so many seconds. Raises BenchError if it was not answered."""
        to, answers = self._pipes
        to.write(f"{seconds}\n")
        to.flush()
        yield
        count = int(answers.readline() or 0)
        if count < 0.9 * self._least * seconds:
            raise BenchError(f"only {count} questions were answered in {seconds:g} s")

    @property
    def _pipes(self) -> tuple[IO[str], IO[str]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout

    def close(self) -> None:
        """End it."""
        for pipe in self._pipes:
            pipe.close()
        self._process.wait(_STOP_SECONDS)


@dataclass(frozen=True, slots=True)
class _Served:
    """A server that runs, the address of one of its services, and who can ask about it."""

    pid: int
    address: str
    askers: dict[Curious, _Asker]

    def cpu_us(self) -> float:
        """Return the processor time of the server so far, with all processes that it has made."""
        total = cpu_us(self.pid)
        with open(f"/proc/{self.pid}/stat", encoding="utf-8") as file:
            ended = file.read().rpartition(")")[2].split()[13:15]  # cutime and cstime of proc(5)
        total += sum(map(int, ended)) / os.sysconf("SC_CLK_TCK") * 1e6
        for pid in descendants(self.pid):
            with contextlib.suppress(OSError):
                total += cpu_us(pid)
        return total


@contextlib.contextmanager
def _serving(directory: str, command: str) -> Iterator[_Served]:
    """Run a server of a handful of services, and those who can ask it."""
    ports = [unused_port() for _ in range(_SERVICES)]
    metrics = unused_port()
    control = os.path.join(directory, "control")
    file = os.path.join(directory, "socketd.toml")
    text = f'control = "{control}"\n[metrics]\nlisten = "tcp:{HOST}:{metrics}"\n'
    for number, port in enumerate(ports):
        text += f'[service.s{number}]\nprogram = "cat"\nlisten = "tcp:{HOST}:{port}"\n'
    with open(file, "w", encoding="utf-8") as lines:
        lines.write(text)
    beside = os.path.join(os.path.dirname(command), "socketd")
    process = subprocess.Popen(
        [beside, "run", file], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    askers = {}
    try:
        if not wait_until(lambda: os.path.exists(control), _START_SECONDS):
            raise BenchError("the server does not come up")
        ready = [beside, "status", "--control", control, "--wait-ready", "--timeout", "20s"]
        subprocess.run(ready, check=True, stdout=subprocess.DEVNULL)
        for one in CURIOUS:
            where = control if one.what == "state" else str(metrics)
            askers[one] = _Asker(one.what, where, one.per_second)
        yield _Served(process.pid, f"{HOST}:{ports[0]}", askers)
    finally:
        for asker in askers.values():
            asker.close()
        process.send_signal(signal.SIGTERM)
        process.wait(_STOP_SECONDS)
