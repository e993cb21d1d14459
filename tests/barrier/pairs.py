"""A supervisor of two services, one of which can be made to crash at any call."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from harness import injector
from harness.clients import exchange
from harness.servers import Server
from harness.waiting import wait_for

SERVICES = """
[service.broken]
listen = ["unix:{folder}/broken.sock"]
{program}
{keys}
[service.healthy]
listen = ["unix:{folder}/healthy.sock"]
program = "cat"
"""


class Pair:
    """Two services of one master: `broken` fails where it is told to, `healthy` has to go on."""

    def __init__(
        self, folder: Path, keys: str, fault: str = "", program: str = 'program = "cat"'
    ) -> None:
        self.folder = folder
        self.calls = folder / "calls"
        self._fault = folder / "fault"
        file = folder / "services.toml"
        file.write_text(SERVICES.format(folder=folder, keys=keys, program=program))
        if fault:
            self._fault.write_text(fault)
        self.server = Server(
            [str(file)],
            environment={
                injector.FAULT_VARIABLE: str(self._fault),
                injector.CALLS_VARIABLE: str(self.calls),
            },
            is_quiet=False,
            command=(
                sys.executable, injector.__file__, "run", "--log-format", "json", "--log-level",
                "debug",
            ),
        )  # fmt: skip

    @property
    def broken(self) -> str:
        """Return where the service listens that may fail."""
        return f"{self.folder}/broken.sock"

    @property
    def healthy(self) -> str:
        """Return where the other one listens."""
        return f"{self.folder}/healthy.sock"

    @property
    def faults(self) -> int:
        """Return of how many faults the log tells."""
        return sum(len(self.server.events(event)) for event in ("service_crashed", "master_fault"))

    @property
    def is_over(self) -> bool:
        """Tell whether the master has ended."""
        return self.server.process.poll() is not None

    @property
    def is_ready(self) -> bool:
        """Tell whether both services have come up."""
        ready = {line["service"] for line in self.server.events("service_ready")}
        return ready == {"healthy", injector.SERVICE}

    def wait_ready(self) -> None:
        """Wait until both services have come up."""
        wait_for(lambda: self.is_ready, "both services are up")

    @property
    def idle(self) -> list[int]:
        """Return the workers of the service that may fail which have no connection yet."""
        accepted = self.pids("connection_accepted")
        return [
            pid
            for pid in self.pids("worker_started")
            if pid not in accepted and Path(f"/proc/{pid}").exists()
        ]

    def called(self) -> set[str]:
        """Return the methods that were called for the service so far."""
        return set(self.calls.read_text().split()) if self.calls.exists() else set()

    def arm(self, method: str, kind: str = "RuntimeError", count: int = 1) -> None:
        """Have a call fail from now on, the first one or a later one."""
        fresh = self._fault.with_suffix(".new")
        fresh.write_text(f"{method} {count} {kind}")
        fresh.replace(self._fault)

    def disarm(self) -> bool:
        """Take an order back; tell whether nobody had even seen it."""
        was_unseen = self._fault.exists()
        self._fault.unlink(missing_ok=True)
        return was_unseen

    def take_calls(self) -> set[str]:
        """Return the methods that were called since the last time."""
        found = self.called()
        self.calls.unlink(missing_ok=True)
        return found

    def wait_answer(self) -> None:
        """Wait until the service that may fail answers; clients wait in its queue meanwhile."""

        def is_answering() -> bool:
            with contextlib.suppress(OSError):
                return exchange(self.broken, b"hello") == b"hello"
            return False

        wait_for(is_answering, f"an answer at {self.broken}")

    def pids(self, event: str) -> list[int]:
        """Return the processes of that service that an event has told of, the latest first."""
        lines = self.server.events(event)
        return [int(line["pid"]) for line in lines if line["service"] == injector.SERVICE][::-1]


def be_asked(pair: Pair) -> None:
    """Have a client come and go."""
    with contextlib.suppress(OSError):
        exchange(pair.broken, b"hello")


def lose_worker(pair: Pair) -> None:
    """Kill a worker that waits."""
    _upset(pair, "worker_started", signal.SIGTERM)


def have_template_stopped(pair: Pair) -> None:
    """Stop the template, which is killed for it."""
    _upset(pair, "template_started", signal.SIGSTOP)


def reload(pair: Pair) -> None:
    """Ask for a reload, and wait for its verdict."""
    _ask(pair, signal.SIGHUP, ("reloaded", "reload_failed"))


def replace(pair: Pair) -> None:
    """Have the next version take over, or not, and wait for the verdict."""
    _ask(pair, signal.SIGUSR2, ("reexec_done", "reexec_failed"))


# All that a master does for a service while it runs, by what makes it do so.
OCCASIONS: tuple[Callable[[Pair], None], ...] = (
    be_asked, lose_worker, have_template_stopped, reload, replace
)  # fmt: skip


def _ask(pair: Pair, number: signal.Signals, verdicts: tuple[str, ...]) -> None:
    before = sum(len(pair.server.events(event)) for event in verdicts)
    pair.server.signal(number)
    pair.server.wait_any(verdicts, before + 1)


def _upset(pair: Pair, event: str, number: signal.Signals) -> None:
    """Signal the latest process that an event has told of, and wait until the master has it."""
    for pid in pair.pids(event):
        process = Path(f"/proc/{pid}")
        if process.exists():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            _wait_collected(process)
            return


def _wait_collected(process: Path) -> None:
    wait_for(lambda: not process.exists(), f"{process.name} was collected")


class Witness:
    """A client that asks a service over and over, and keeps in mind whether it ever failed."""

    def __init__(self, place: str) -> None:
        self.failures: list[str] = []
        self.answers = 0
        self._place = place
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def close(self) -> None:
        """Ask no more."""
        self._is_over.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._is_over.wait(0.05):
            try:
                if exchange(self._place, b"well?") == b"well?":
                    self.answers += 1
                else:
                    self.failures.append("another answer")
            except OSError as error:
                self.failures.append(str(error))
