"""Measurements: what is done to a server, and what is written down.

Owns the table of cases and each measurement. Must not know any server by name, nor how results
are shown. A new level is a number in `cases`; a new measurement is a function and its case.
"""

import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from bench.generator import Generator, Load
from bench.launch import BenchError, Running, launching, serving, unused_port
from bench.processes import children, cpu_us, has_idle_pool, pss_kib, split_pool, wait_until
from bench.servers import HOST, PROGRAMS, Program, Server

_POOL_SECONDS = 60.0
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Measured:
    """What one measurement of one server found."""

    values: dict[str, float]
    errors: dict[str, int] = field(default_factory=dict)
    """How many connections were refused, reset, wrong, late."""
    samples_us: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Subject:
    """A server with its command, to be measured."""

    server: Server
    command: str


@dataclass(frozen=True, slots=True)
class Case:
    """One measurement at one level, done to every server that it applies to."""

    measurement: str
    program: Program
    level: int
    workers: int
    measure: Callable[["Case", Subject, Generator], Measured]
    amount: float
    """Connections, or seconds: whatever the measurement is long by."""
    repeat: int = 1
    silence_seconds: float = 0
    is_for_pools: bool = False

    def applies_to(self, server: Server) -> bool:
        """Tell whether this server is to be measured here."""
        if self.is_for_pools and (server.worker is None or server.is_unix):
            return False
        return self.program.key in server.programs


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured in each round."""

    paced: dict[str, tuple[int, int]]
    """By program: connections per second, and how many of them."""
    throughput: dict[str, tuple[float, tuple[int, ...]]]
    """By program: for how many seconds, and how many connections at once."""
    burst: int
    bursts: int
    silence_seconds: float
    ready: tuple[int, ...]
    """Workers that stand ready for a burst; servers without a pool are measured once."""
    memory: tuple[int, ...]
    heap: tuple[int, ...]
    """Workers that are weighed as copies of a program with much in its memory."""
    cpu: tuple[int, ...]
    cpu_connections: int
    cold: tuple[int, ...]
    volume: tuple[int, ...]
    """MiB through one connection."""
    starts: int
    """Runs of client and server, each beside one of the interpreter that it is compared with."""
    cgi_seconds: int
    cgi_programs: int
    """How many of the CGI programs, in their order."""
    has_transfers: bool
    """Whether a repository, a large body and a large answer are moved, too."""


FULL = Extent(
    # a Python script takes tens of milliseconds of a processor: 100 per second would fill two
    paced={"cat": (100, 300), "sh": (100, 100), "python": (20, 40)},
    throughput={"cat": (1, (1, 8, 32, 128)), "python": (2, (8,)), "bash": (1, (8,))},
    burst=300,
    bursts=2,
    silence_seconds=1,
    ready=(300, 32),
    memory=(4, 100, 1000),
    heap=(100,),
    cpu=(10, 100, 1000),
    cpu_connections=1000,
    cold=(1000,),
    volume=(1024,),
    starts=20,
    cgi_seconds=2,
    cgi_programs=4,
    has_transfers=True,
)
QUICK = Extent(
    paced={"cat": (200, 20)},
    throughput={"cat": (0.1, (8,))},
    burst=20,
    bursts=1,
    silence_seconds=0.05,
    ready=(20,),
    memory=(4,),
    heap=(2,),
    cpu=(10,),
    cpu_connections=50,
    cold=(10,),
    volume=(16,),
    starts=2,
    cgi_seconds=1,
    cgi_programs=1,
    has_transfers=False,
)


def cases(extent: Extent, workers: int) -> list[Case]:
    """List everything that is measured in a round, in order."""
    cat = PROGRAMS["cat"]
    found = [
        Case("paced", PROGRAMS[key], rate, workers, measure_paced, amount)
        for key, (rate, amount) in extent.paced.items()
    ]
    found += [
        Case("throughput", PROGRAMS[key], level, workers, measure_throughput, seconds)
        for key, (seconds, levels) in extent.throughput.items()
        for level in levels
    ]
    for number, ready in enumerate(extent.ready):
        name = "burst" if number == 0 else f"burst, {ready} ready"
        found.append(
            Case(
                name,
                cat,
                extent.burst,
                ready,
                measure_burst,
                extent.burst,
                repeat=extent.bursts,
                silence_seconds=extent.silence_seconds,
                is_for_pools=number > 0,
            )
        )
    for name, program, levels, measure, amount in (
        ("memory", cat, extent.memory, measure_memory, 0),
        ("memory", PROGRAMS["heap"], extent.heap, measure_memory, 0),
        ("master cpu", cat, extent.cpu, measure_master_cpu, extent.cpu_connections),
        ("cold start", cat, extent.cold, measure_cold_start, 0),
        ("client start", cat, (1,), measure_client_start, extent.starts),
        ("server start", cat, (4,), measure_server_start, extent.starts),
    ):
        found += [
            Case(name, program, level, level, measure, amount, is_for_pools=True)
            for level in levels
        ]
    found += [
        Case("volume", cat, level, workers, measure_volume, 0, is_for_pools=True)
        for level in extent.volume
    ]
    return found


def measure_paced(case: Case, subject: Subject, generator: Generator) -> Measured:
    """Time each connection at a pace that leaves the server idle between them."""
    with _ready(case, subject) as running:
        load = generator.paced(running.address, per_second=case.level, count=int(case.amount))
    if len(load.latencies_us) < 2:
        raise BenchError(f"nothing was answered: {load.outcomes} {load.last_error}")
    cuts = statistics.quantiles(load.latencies_us, n=100, method="inclusive")
    firsts = statistics.median(load.first_bytes_us)
    values = {"p50_us": cuts[49], "p90_us": cuts[89], "p99_us": cuts[98], "first_us": firsts}
    samples = [round(value, 1) for value in load.latencies_us]
    return Measured(values | _cost(load), load.errors, samples)


def measure_throughput(case: Case, subject: Subject, generator: Generator) -> Measured:
    """Count what is answered while so many connections are always under way."""
    with _ready(case, subject) as running:
        load = generator.closed(running.address, at_once=case.level, seconds=case.amount)
    return Measured({"per_second": load.per_second} | _cost(load), load.errors)


def measure_burst(case: Case, subject: Subject, generator: Generator) -> Measured:
    """Connect many times at one moment after a silence; keep the median of the repetitions."""
    loads: list[Load] = []
    with _ready(case, subject) as running:
        for _ in range(case.repeat):
            time.sleep(case.silence_seconds)
            loads.append(generator.burst(running.address, count=int(case.amount)))
    answered = [load for load in loads if load.latencies_us]
    if not answered:
        raise BenchError(f"nothing was answered: {loads[0].outcomes} {loads[0].last_error}")
    values = {
        "worst_us": statistics.median(max(load.latencies_us) for load in answered),
        "median_us": statistics.median(statistics.median(load.latencies_us) for load in answered),
        "all_us": statistics.median(load.elapsed_us for load in answered),
    }
    errors: Counter[str] = Counter()
    for load in loads:
        errors.update(load.errors)
    return Measured(values, dict(errors))


def measure_memory(case: Case, subject: Subject, generator: Generator) -> Measured:
    """Weigh the master and each idle worker."""
    del generator
    with _ready(case, subject) as running:
        helpers, workers = split_pool(running.pid, case.workers)
        values = {
            "worker_pss_kib": statistics.mean(_pss_of_all_kib(pid) for pid in workers),
            "master_pss_kib": float(pss_kib(running.pid)),
            "helpers_pss_kib": float(sum(pss_kib(pid) for pid in helpers)),
        }
    return Measured(values)


def _pss_of_all_kib(worker: int) -> int:
    """Weigh a worker and the program that it may have started already."""
    programs = 0
    for pid in children(worker):
        with contextlib.suppress(FileNotFoundError):  # the answer that came first may just end
            programs += pss_kib(pid)
    return pss_kib(worker) + programs


def measure_master_cpu(case: Case, subject: Subject, generator: Generator) -> Measured:
    """Divide the processor time that the master takes by the connections that caused it."""
    with _ready(case, subject) as running:
        before = cpu_us(running.pid)
        load = generator.closed(running.address, at_once=8, count=int(case.amount))
        _wait_for_pool(case, subject.server, running)
        used = cpu_us(running.pid) - before
    return Measured({"cpu_us": used / case.amount, "per_second": load.per_second}, load.errors)


def measure_cold_start(case: Case, subject: Subject, generator: Generator) -> Measured:
    """Time the command that puts the server into the background once all workers are ready."""
    del generator
    with launching(subject.command, case.program, case.workers) as launch:
        pid_file = os.path.join(launch.directory, "pid")
        arguments = ["-b", "--pidfile", pid_file, *subject.server.arguments(launch)]
        # a file, not a pipe: the server may keep its stderr, and a pipe would then never end
        with open(os.path.join(launch.directory, "stderr"), "w+b") as stderr:
            begin = time.monotonic()
            done = subprocess.run(
                [subject.command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                check=False,
                timeout=_POOL_SECONDS,
            )
            seconds = time.monotonic() - begin
            stderr.seek(0)
            if done.returncode != 0:
                raise BenchError(f"the server did not start: {stderr.read().decode()[-500:]}")
        with open(pid_file, encoding="ascii") as file:
            alive = len(children(int(file.read())))
    if alive < case.level:
        raise BenchError(f"ready was said with {alive} of {case.level} workers")
    return Measured({"seconds": seconds})


def measure_client_start(case: Case, subject: Subject, generator: Generator) -> Measured:
    """Time whole runs of the client, connection included, in turn with Python doing nothing."""
    del generator
    with _ready(case, subject) as running:
        host, _, port = running.address.rpartition(":")
        client = [subject.command, "-N", host, port]
        return _beside_python(case, subject, lambda: _run_seconds(client))


def measure_server_start(case: Case, subject: Subject, generator: Generator) -> Measured:
    """Time from exec to the first connection, in turn with Python doing nothing."""
    del generator
    options = ["-p", "cat", "-l", "-f", "-W", str(case.workers), "-s"]

    def seconds() -> float:
        port = unused_port()
        begin = time.monotonic()
        with subprocess.Popen([subject.command, *options, str(port)]) as server:
            try:
                is_there = wait_until(lambda: _is_listening(port), _POOL_SECONDS, 0.0005)
                passed = time.monotonic() - begin
            finally:
                server.terminate()
        if not is_there:
            raise BenchError("the server did not listen")
        return passed

    return _beside_python(case, subject, seconds)


def _beside_python(case: Case, subject: Subject, measure: Callable[[], float]) -> Measured:
    python = [interpreter_of(subject.command), "-I", "-S", "-c", "pass"]
    pairs = [(measure(), _run_seconds(python)) for _ in range(int(case.amount))]
    ours, theirs = (statistics.median(values) for values in zip(*pairs, strict=True))
    return Measured({"own_us": ours * 1e6, "python_us": theirs * 1e6, "to_python": ours / theirs})


def _run_seconds(command: list[str]) -> float:
    begin = time.monotonic()
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    return time.monotonic() - begin


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def measure_volume(case: Case, subject: Subject, generator: Generator) -> Measured:
    """Time so many MiB through one connection, both ways at once."""
    del generator
    piece, total = bytes(_MIB), case.level * _MIB
    received, into = 0, bytearray(_MIB)
    with _ready(case, subject) as running:
        host, _, port = running.address.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=_POOL_SECONDS) as connection:

            def send() -> None:
                with contextlib.suppress(OSError):  # what has not come back tells
                    for _ in range(case.level):
                        connection.sendall(piece)
                    connection.shutdown(socket.SHUT_WR)

            sender = threading.Thread(target=send)
            begin = time.monotonic()
            sender.start()
            while got := connection.recv_into(into):
                received += got
            seconds = time.monotonic() - begin
            sender.join()
    if received != total:
        raise BenchError(f"{received} of {total} bytes came back")
    return Measured({"mib_per_second": case.level / seconds})


@contextlib.contextmanager
def _ready(case: Case, subject: Subject) -> Iterator[Running]:
    """Run a server; one with a pool has all its workers waiting."""
    server = subject.server
    with serving(server, subject.command, case.program, case.workers) as running:
        _wait_for_pool(case, server, running)
        yield running


def _wait_for_pool(case: Case, server: Server, running: Running) -> None:
    if server.worker is None:
        return
    if not wait_until(lambda: has_idle_pool(running.pid, case.workers), _POOL_SECONDS):
        raise BenchError(f"{case.workers} idle workers were never reached")


def interpreter_of(command: str) -> str:
    """Return the interpreter of an installed command, from its first line; ours otherwise."""
    with open(shutil.which(command) or command, "rb") as file:
        first = file.readline().decode(errors="replace").strip()
    return first.removeprefix("#!") if first.startswith("#!/") else sys.executable


def _cost(load: Load) -> dict[str, float]:
    return {"generator_us": load.cpu_us_per_connection}
