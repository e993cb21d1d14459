"""`socketd run` as a test runs it: a file that can be rewritten, reloads, replacements."""

import contextlib
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.clients import Place
from harness.servers import Line, Outcome, Server, clean_environment
from harness.waiting import CAP_SECONDS

SOCKETD = str(Path(sys.executable).parent / "socketd")


class Supervisor:
    """A running `socketd run`, with JSON log lines on stderr."""

    def __init__(
        self,
        file: Path,
        *options: str,
        level: str = "info",
        environment: dict[str, str] | None = None,
        pass_fds: tuple[int, ...] = (),
        prefix: tuple[str, ...] = (),
        is_quiet: bool = True,
    ) -> None:
        self.file = file
        self.server = Server(
            [*options, str(file)],
            environment or {},
            list(prefix),
            pass_fds=pass_fds,
            is_quiet=is_quiet,
            command=(SOCKETD, "run", "--log-format", "json", "--log-level", level),
        )

    @property
    def pid(self) -> int:
        """Return the master's process id."""
        return self.server.pid

    def place(self, service: str, position: int = 0) -> Place:
        """Wait until a listener of a service is served, and return where to connect."""
        ready = self.wait_events("service_ready", position + 1, service=service)
        line = ready[position]
        return str(line["address"]) if line["port"] is None else (line["address"], line["port"])

    def wait_ready(self) -> None:
        """Wait until all services are up: only then are orders followed."""
        for name in self.file.read_text().split("[service.")[1:]:
            if "." not in name.partition("]")[0]:
                self.place(name.partition("]")[0])

    def wait_events(self, event: str, count: int, **keys: object) -> list[Line]:
        """Wait until there are so many lines of an event with these keys, and return them."""
        found: list[Line] = []

        def is_last(line: Line) -> bool:
            if line in found or any(line[key] != value for key, value in keys.items()):
                return False
            found.append(line)
            return len(found) == count

        self.server.wait_event(event, is_last)
        return found

    def reload(self, text: str | None = None) -> Line:
        """Rewrite the file if there is a text, reload, and return what the log says of it."""
        if text is not None:
            self.rewrite(text)
        before = len(self._verdicts("reloaded", "reload_failed"))
        self.server.signal(signal.SIGHUP)
        return self._next_verdict(before, "reloaded", "reload_failed")

    def rewrite(self, text: str) -> None:
        """Put another text into the file at one stroke: nobody reads half of it."""
        fresh = self.file.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self.file)

    def replace(self) -> Line:
        """Have the master replace itself, and return what the log says of it."""
        before = len(self._verdicts("reexec_done", "reexec_failed"))
        self.server.signal(signal.SIGUSR2)
        return self._next_verdict(before, "reexec_done", "reexec_failed")

    def _verdicts(self, *events: str) -> list[Line]:
        return [line for event in events for line in self.server.events(event)]

    def _next_verdict(self, before: int, *events: str) -> Line:
        return self.server.wait_any(events, before + 1)


@contextlib.contextmanager
def supervising(folder: Path) -> Iterator[Callable[..., Supervisor]]:
    """Have a function that starts supervisors of a text; they leave nothing behind."""
    supervisors: list[Supervisor] = []

    def start(text: str, *options: str, **more: object) -> Supervisor:
        file = folder / f"services-{len(supervisors)}.toml"
        file.write_text(text)
        supervisors.append(Supervisor(file, *options, **more))  # type: ignore[arg-type]  # options of Supervisor
        return supervisors[-1]

    try:
        yield start
    finally:
        for supervisor in supervisors:
            supervisor.server.close()


def run_socketd(*arguments: str, **environment: str) -> Outcome:
    """Run `socketd` to its end."""
    done = subprocess.run(
        [SOCKETD, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=CAP_SECONDS,
        env=clean_environment(uuid.uuid4().hex) | environment,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)
