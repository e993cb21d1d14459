"""A plan beside a real run: the same connections at the same moments, simulated and served.

Owns the runs and their table. Must not know how a plan is made, nor how connections are started.

Each is a service of its own, one after another, each strategy once a round. The plan is made as one
is made of a service's own log: how long each connection was served is taken from there, since a
machine with other work serves no two for the same time. When each came is known. Who waited and for
how long, and how many workers there were, is what is compared; the latter is the service's own
account at its control socket.
"""

import contextlib
import json
import os
import shlex
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from array import array
from dataclasses import dataclass

from bench.generator import Generator
from bench.launch import BenchError, unused_port
from bench.processes import wait_until
from bench.servers import HOST
from bench.tables import table
from socketd.planning.durations import Fixed
from socketd.planning.simulation import Machine, Simulation
from socketd.planning.streams import STREAMS, Stream
from socketd.planning.traces import read_trace
from socketd.pool.settings import PoolSettings, Strategy

_PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs", "take.c")
_START_SECONDS = 20.0
_STOP_SECONDS = 10.0
_IDLE_SECONDS = 2.0
_LATE = 0.5  # times of service that a late connection waits: more than a busy machine adds to one


@dataclass(frozen=True, slots=True)
class Trial:
    """Connections at a rate, each served for the same time, by a pool of these sizes."""

    stream: str
    rate: float
    service_seconds: float
    minimum: int
    maximum: int
    connections: int


TRIALS = (Trial("steady", 15.0, 0.2, 1, 5, 300), Trial("bursts", 10.0, 0.2, 1, 8, 200))


@dataclass(frozen=True, slots=True)
class Figures:
    """What was found: a share, seconds, workers."""

    late: float
    p50_seconds: float
    p99_seconds: float
    mean_workers: float


def agreement(generator: Generator, command: str, rounds: int) -> str:
    """Run each trial with each strategy so many times; return the table."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="socketd-bench-") as directory:
        program = os.path.join(directory, "take")
        subprocess.run([os.environ.get("CC", "cc"), "-O2", _PROGRAM, "-o", program], check=True)
        for trial in TRIALS:
            found: dict[Strategy, list[tuple[Figures, Figures]]] = {one: [] for one in Strategy}
            for number in range(rounds):
                served = Fixed(trial.service_seconds)
                stream = STREAMS[trial.stream](trial.rate, trial.connections, served, 1 + number)
                for strategy in Strategy:
                    runner = _Runner(directory, command, program, trial, strategy)
                    found[strategy].append(runner.run(generator, stream))
            rows += [_row(trial, strategy, pairs) for strategy, pairs in found.items()]
    head = ["connections", "strategy", "late", "latency p50", "p99", "mean workers", "furthest off"]
    return table(head, rows)


class _Runner:
    """One service, and the simulation of it."""

    def __init__(
        self, directory: str, command: str, program: str, trial: Trial, strategy: Strategy
    ) -> None:
        self._directory = directory
        self._command = command
        self._program = program
        self._trial = trial
        self._strategy = strategy
        is_fixed = strategy is Strategy.FIXED
        self._minimum = trial.maximum if is_fixed else trial.minimum
        self._control = os.path.join(directory, "control")
        self._log = os.path.join(directory, "log")

    def run(self, generator: Generator, stream: Stream) -> tuple[Figures, Figures]:
        """Return what the plan says and what was measured."""
        moments = os.path.join(self._directory, "moments")
        first = stream.arrivals[0]
        with open(moments, "w", encoding="ascii") as file:
            file.writelines(f"{round((one - first) * 1e9)}\n" for one in stream.arrivals)
        port = unused_port()
        with contextlib.suppress(FileNotFoundError):
            os.remove(self._log)
        process = subprocess.Popen(
            self._arguments(port), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            if not wait_until(lambda: self._accepted() is not None, _START_SECONDS):
                raise BenchError("the service does not come up")
            before, begin = self._worked(), time.monotonic()
            load = generator.replay(f"{HOST}:{port}", moments)
            worked, took = self._worked() - before, time.monotonic() - begin
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(_STOP_SECONDS)
        if load.errors:
            raise BenchError(f"connections failed: {load.errors}")
        latencies = [one / 1e6 for one in load.latencies_us]
        measured = _figures(latencies, self._trial, worked / took)
        return self._planned(stream), measured

    def _planned(self, stream: Stream) -> Figures:
        """Simulate it: who came as the n-th was served as long as the n-th in the log."""
        trial = self._trial
        served = [seconds for _, seconds in read_trace(self._log).connections]
        if len(served) != len(stream.arrivals) or min(served) < 0.0:
            raise BenchError(f"the log has {len(served)} connections, not {len(stream.arrivals)}")
        seen = Stream(stream.arrivals, array("d", served))
        settings = PoolSettings(self._minimum, trial.maximum, self._strategy, _IDLE_SECONDS)
        simulation = Simulation(settings, Machine())
        outcome = simulation.run(seen)
        latencies = [wait + one for wait, one in zip(simulation.waits, served, strict=True)]
        return _figures(latencies, trial, outcome.mean_workers)

    def _arguments(self, port: int) -> list[str]:
        words = shlex.join([self._program, str(self._trial.service_seconds)])
        sizes = ["-W", str(self._minimum), "--max-workers", str(self._trial.maximum)]
        how = ["--strategy", self._strategy.value, "--idle-timeout", f"{_IDLE_SECONDS:g}s"]
        how += ["-v", "--log-format", "json", "--log-file", self._log]
        where = ["--control", self._control, "-B", HOST, "-s", str(port)]
        return [self._command, "-p", words, "-l", "-f", *sizes, *how, *where]

    def _state(self) -> dict[str, object] | None:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(self._control)
                client.shutdown(socket.SHUT_WR)
                with client.makefile("rb") as answer:
                    state = json.loads(answer.read())
            except (OSError, ValueError):
                return None
        listener: dict[str, object] = state["services"][0]["listeners"][0]
        return listener

    def _accepted(self) -> object:
        state = self._state()
        return None if state is None else state["connections"]

    def _worked(self) -> float:
        """Return for how many seconds all workers together have been there."""
        state = self._state()
        if state is None:
            raise BenchError("the service does not answer")
        return float(str(state["busy_seconds"])) + float(str(state["idle_seconds"]))


def _figures(latencies: list[float], trial: Trial, mean_workers: float) -> Figures:
    ordered = sorted(latencies)
    late = sum(one > trial.service_seconds * (1.0 + _LATE) for one in ordered) / len(ordered)
    cuts = statistics.quantiles(ordered, n=100, method="inclusive")
    return Figures(late, cuts[49], cuts[98], mean_workers)


def _row(trial: Trial, strategy: Strategy, pairs: list[tuple[Figures, Figures]]) -> list[str]:
    planned, measured = (
        Figures(
            *(
                statistics.median(getattr(pair[side], name) for pair in pairs)
                for name in ("late", "p50_seconds", "p99_seconds", "mean_workers")
            )
        )
        for side in (0, 1)
    )
    values = [
        (planned.late, measured.late, "{:.0%}"),
        (planned.p50_seconds, measured.p50_seconds, "{:.3f} s"),
        (planned.p99_seconds, measured.p99_seconds, "{:.3f} s"),
        (planned.mean_workers, measured.mean_workers, "{:.2f}"),
    ]
    off = max(abs(b / a - 1.0) if a else 0.0 for a, b, _ in values)
    cells = [f"{form.format(a)}, {form.format(b)}" for a, b, form in values]
    title = f"{trial.stream}, {trial.rate:g}/s"
    return [title, f"`{strategy.value}`", *cells, f"{off:.0%}"]
