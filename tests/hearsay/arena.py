"""A server with two services, beside canaries, as process 1 of a namespace that a test made.

Its arguments are the attack, the kind of worker and a seed. It prints as JSON what has become of
everybody. The board of the service `victim` is written to; nothing that is no process of `victim`
may notice.
"""

import contextlib
import faulthandler
import json
import mmap
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

TESTS = Path(__file__).parent.parent
sys.path.insert(0, str(TESTS))

from harness.clients import connect, exchange  # noqa: E402
from harness.processes import ProcessView, children_of, view  # noqa: E402
from harness.supervisors import Supervisor  # noqa: E402
from harness.waiting import wait_for  # noqa: E402
from socketd.settings.table import MOST_WORKERS  # noqa: E402
from socketd.workers import layout  # noqa: E402
from socketd.workers.layout import RECORD_SIZE, SlotState  # noqa: E402

_STATES = 64
_RECORDS = _STATES + MOST_WORKERS
_WATCHED = 6
_MOST_SECONDS = 45.0
_SCRIBBLE_SECONDS = 4.0
_MOST_TURNS = 300  # of the processor given away before a scribble: it falls anywhere in a round
_ROUNDS_AT_STOP = 2000
_SERVICE = """
[service.{name}]
listen = ["unix:{folder}/{name}"]
program = ["/bin/cat"]
user = "{user}"
worker = "{worker}"
[service.{name}.workers]
min = {workers}
max = 6
[service.{name}.timeouts]
drain = "1s"
"""


class Scribbler:
    """Who writes to the board of the first service of a master."""

    def __init__(self, master: int) -> None:
        folder = f"/proc/{master}/fd"
        paths = [f"{folder}/{name}" for name in sorted(os.listdir(folder), key=int)]
        self.path = next(path for path in paths if "socketd-board" in os.readlink(path))
        self.fd = os.open(self.path, os.O_RDWR)
        self.memory = mmap.mmap(self.fd, 0)

    def state(self, number: int) -> int:
        """Return the state byte of a slot."""
        return self.memory[_STATES + number]

    def set_state(self, number: int, state: int) -> None:
        """Write the state byte of a slot."""
        self.memory[_STATES + number] = state

    def write(self, number: int, offset: int, form: str, value: int) -> None:
        """Write a field of a record."""
        struct.pack_into(form, self.memory, _RECORDS + number * RECORD_SIZE + offset, value)

    def set_pid(self, number: int, pid: int) -> None:
        """Write the process id in a record."""
        self.write(number, layout.PID_OFFSET, "=i", pid)

    def pid(self, number: int) -> int:
        """Return the process id in a record."""
        offset = _RECORDS + number * RECORD_SIZE
        return int(struct.unpack_from("=i", self.memory, offset)[0])

    def has_news(self) -> bool:
        """Tell whether something on the board waits for the master."""
        states = self.memory[_STATES : _STATES + _WATCHED]
        return SlotState.ACCEPTED in states or SlotState.STILLBORN in states

    def slot_in(self, state: SlotState) -> int:
        """Wait for a slot in a state, and return its number."""
        wait_for(lambda: state in self.memory[_STATES : _STATES + _WATCHED], f"a slot in {state}")
        return self.memory[_STATES : _STATES + _WATCHED].index(state)


class Arena:
    """The server, the canaries and who writes.

    `is_to_stop` is for an attack that goes on until the end.
    """

    def __init__(self, worker: str, source: random.Random, *, is_to_stop: bool = False) -> None:
        self.source = source
        self.is_to_stop = is_to_stop
        self.canaries = [
            subprocess.Popen(
                [sys.executable, str(TESTS / "hearsay" / "canary.py"), str(uid)],
                stdout=subprocess.PIPE,
            )
            for uid in (0, 65534, 54321)
        ]
        for one in self.canaries:
            assert one.stdout is not None
            one.stdout.readline()
        self.folder = tempfile.mkdtemp()
        Path(self.folder).chmod(0o755)
        file = Path(self.folder) / "services.toml"
        file.write_text(
            "".join(
                _SERVICE.format(
                    name=name, folder=self.folder, user=user, worker=worker, workers=workers
                )
                for name, user, workers in (("victim", "nobody", 3), ("other", "daemon", 2))
            )
        )
        self.supervisor = Supervisor(file, is_quiet=False)
        self.supervisor.wait_ready()
        self.master = self.supervisor.pid
        self.scribbler = Scribbler(self.master)
        for name in ("victim", "other"):  # who came at the start has been seen, nobody else yet
            for _ in range(8):
                assert exchange(f"{self.folder}/{name}", b"hello") == b"hello"
        self.busy = self.connect("other")
        self.kept = self.connect("victim")
        self.others: set[int] = set()
        # Two who wait, the busy one, and the template.
        self.others_wanted = 4 if worker == "native" else 3
        self.note_others()

    def note_others(self) -> None:
        """Take note of who works for the other service, once it is quiet there."""

        def is_quiet() -> bool:
            self.others = self.workers_of("daemon")
            busy = [one for one in children_of(self.master) if self.is_busy_other(one)]
            is_settled = len(self.others) >= self.others_wanted and len(busy) == 1
            # Somebody may have ended between two of these looks.
            return is_settled and not self.zombies() and self.workers_of("daemon") == self.others

        wait_for(is_quiet, "the other service is quiet")

    def is_busy_other(self, one: ProcessView) -> bool:
        """Tell whether a process has a connection to the other service."""
        return one.name == "cat" and one.pid in self.others

    def zombies(self) -> list[int]:
        """Return who has ended and was not collected."""
        return [one.pid for one in children_of(self.master) if one.is_zombie]

    def connect(self, name: str) -> socket.socket:
        """Return a connection to a service that has answered."""
        connection = connect(f"{self.folder}/{name}")
        connection.sendall(b"?")
        assert connection.recv(1) == b"?"
        return connection

    def workers_of(self, user: str) -> set[int]:
        """Return the children of the master that run as a user."""
        uid = {"nobody": 65534, "daemon": 1}[user]
        found = set()
        for one in children_of(self.master):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                status = Path(f"/proc/{one.pid}/status").read_text()
                if f"\nUid:\t{uid}\t" in status and not one.is_zombie:
                    found.add(one.pid)
        return found

    def ring(self) -> None:
        """Have the master look.

        While it is to stop, only when it looks for ends, by a signal that is harmless when its
        handlers have gone.
        """
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.master, signal.SIGCHLD if self.is_to_stop else signal.SIGUSR1)

    def have_heard(self) -> None:
        """Have the master look, and wait until it has taken the news off the board, or ended."""
        self.ring()
        wait_for(lambda: not self.is_alive() or not self.scribbler.has_news(), "news were taken")

    def is_alive(self) -> bool:
        """Tell whether the master is."""
        one = view(self.master)
        return one is not None and not one.is_zombie

    def foreign_pids(self) -> list[int]:
        """Return process ids that are nobody's of the victim."""
        canaries = [one.pid for one in self.canaries]
        groups = [-pid for pid in canaries]
        return [-1, 0, 1, self.master, *canaries, *groups, *self.others, 2**31 - 1, -(2**31)]

    def answers(self, name: str) -> bool:
        """Tell whether a service does what it is for, with as many at once as it may."""

        def has_answered() -> bool:
            try:
                return exchange(f"{self.folder}/{name}", b"hello") == b"hello"
            except OSError:
                return False

        try:
            wait_for(lambda: all(has_answered() for _ in range(8)), f"{name} answers")
        except AssertionError:
            return False
        return True

    def verdict(self) -> dict[str, object]:
        """End the server and tell what has become of everybody."""
        self.ring()
        lost = sorted(self.others - self.workers_of("daemon"))
        result: dict[str, object] = {"victim": self.is_alive() and self.answers("victim")}
        result["other"] = self.answers("other") if self.is_alive() else False
        result["master"] = self.is_alive()
        result["lost"] = lost
        try:
            self.busy.sendall(b"!")
            result["busy"] = self.busy.recv(1) == b"!"
        except OSError:
            result["busy"] = False
        self.kept.close()
        self.busy.close()
        if self.is_alive():
            self.supervisor.server.signal(signal.SIGTERM)
        result["status"] = self.supervisor.server.wait()
        result["left"] = sorted(
            one.name for one in children_of(1) if not one.is_zombie and "python" not in one.name
        )
        result["canaries"] = [one.poll() for one in self.canaries]
        result["distrusted"] = [
            [line["worker"], line["reason"]]
            for line in self.supervisor.server.events("worker_distrusted")
            if line["service"] == "victim"
        ]
        result["loud"] = [
            line
            for line in self.supervisor.server.lines
            if line.get("service") != "victim"
            and (line["level"] in ("warning", "error") or line["event"] == "worker_failed")
        ]
        result["noise"] = self.supervisor.server.noise
        for one in self.canaries:
            one.kill()
        return result

    def retire_all(self) -> None:
        """Have all who wait be signalled: a reload is over when a new generation waits."""
        self.supervisor.server.signal(signal.SIGHUP)
        self.supervisor.wait_events("reloaded", 1)
        self.forget_leavers()

    def forget_leavers(self) -> None:
        """Expect of the other service only that whoever is busy stays: the others have retired."""
        self.others = {one.pid for one in children_of(self.master) if self.is_busy_other(one)}


def _claim_pid(arena: Arena, pid: int) -> None:
    """Have a worker be somebody else who accepts, and another one somebody else who retires."""
    number = arena.scribbler.slot_in(SlotState.IDLE)
    arena.scribbler.set_pid(number, pid)
    arena.scribbler.write(number, layout.CLIENT_OFFSET, "=H", socket.AF_UNIX)
    arena.scribbler.set_state(number, SlotState.ACCEPTED)
    arena.have_heard()
    other = arena.scribbler.slot_in(SlotState.IDLE)
    arena.scribbler.set_pid(other, pid)
    arena.retire_all()


def negative_pid(arena: Arena) -> None:
    """Name a group that is a canary's."""
    _claim_pid(arena, -arena.canaries[1].pid)


def minus_one(arena: Arena) -> None:
    """Name all processes there are."""
    _claim_pid(arena, -1)


def missing_pid(arena: Arena) -> None:
    """Have nobody accept."""
    _claim_pid(arena, 0)


def process_one(arena: Arena) -> None:
    """Name process 1, whose group killpg() takes for everybody."""
    _claim_pid(arena, 1)


def no_such_pid(arena: Arena) -> None:
    """Name a process that there is not."""
    _claim_pid(arena, 2**31 - 1)


def pid_of_canary(arena: Arena) -> None:
    """Name a process of the same user that is no child of the master."""
    _claim_pid(arena, arena.canaries[1].pid)


def pid_of_master(arena: Arena) -> None:
    """Name the master itself."""
    _claim_pid(arena, arena.master)


def pid_of_another_service(arena: Arena) -> None:
    """Name a worker of another service that nobody has noted yet."""
    number = arena.scribbler.slot_in(SlotState.IDLE)
    (taken,) = [
        one.pid
        for one in children_of(arena.master)
        if one.pid in arena.others and one.name != "cat" and one.name != "socketd-zygote"
    ][:1]
    arena.scribbler.set_pid(number, taken)
    arena.scribbler.write(number, layout.CLIENT_OFFSET, "=H", socket.AF_UNIX)
    arena.scribbler.set_state(number, SlotState.ACCEPTED)
    arena.have_heard()


def step_beyond_all(arena: Arena) -> None:
    """Have a worker end that has failed at a step that there is not."""
    number = arena.scribbler.slot_in(SlotState.BUSY)
    arena.scribbler.write(number, layout.STEP_OFFSET, "=B", 77)
    os.kill(arena.scribbler.pid(number), signal.SIGTERM)


def unknown_family(arena: Arena) -> None:
    """Have a client of a family that nobody knows."""
    number = arena.scribbler.slot_in(SlotState.IDLE)
    arena.scribbler.write(number, layout.CLIENT_OFFSET, "=H", 99)
    arena.scribbler.set_state(number, SlotState.ACCEPTED)
    arena.have_heard()


def absurd_time(arena: Arena) -> None:
    """Have a connection end that was accepted in the future."""
    number = arena.scribbler.slot_in(SlotState.BUSY)
    arena.scribbler.write(number, layout.ACCEPTED_NS_OFFSET, "=Q", 2**64 - 1)
    arena.kept.close()


def accepts_twice(arena: Arena) -> None:
    """Have a worker with a connection say that it has just got one."""
    arena.scribbler.set_state(arena.scribbler.slot_in(SlotState.BUSY), SlotState.ACCEPTED)
    arena.have_heard()


def stillborn_and_there(arena: Arena) -> None:
    """Have a worker that waits say that it could not be made."""
    arena.scribbler.set_state(arena.scribbler.slot_in(SlotState.IDLE), SlotState.STILLBORN)
    arena.have_heard()


def busy_and_stillborn(arena: Arena) -> None:
    """Have a worker with a connection say that it could not be made."""
    arena.scribbler.set_state(arena.scribbler.slot_in(SlotState.BUSY), SlotState.STILLBORN)
    arena.have_heard()


def news_of_free_slots(arena: Arena) -> None:
    """Have slots that nobody has asked for accept, wait, and fail."""
    for number, state in ((3, SlotState.STILLBORN), (4, SlotState.ACCEPTED), (5, SlotState.IDLE)):
        if arena.scribbler.state(number) == SlotState.FREE:
            arena.scribbler.set_state(number, state)
    arena.have_heard()


def states_beyond_all(arena: Arena) -> None:
    """Write state bytes that mean nothing."""
    for number in range(MOST_WORKERS):
        arena.scribbler.set_state(number, 77)
    arena.have_heard()


def random_bytes(arena: Arena) -> None:
    """Write all of the board, once."""
    size = len(arena.scribbler.memory)
    arena.scribbler.memory[:] = arena.source.randbytes(size)
    arena.have_heard()


def truncated_file(arena: Arena) -> None:
    """Make the file too short for its mapping."""
    for size in (0, 100, 4096):
        with contextlib.suppress(PermissionError):
            os.ftruncate(arena.scribbler.fd, size)
    arena.have_heard()


def _scribble_once(arena: Arena, pids: list[int]) -> None:
    source, board = arena.source, arena.scribbler
    number = source.randrange(_WATCHED + 2)
    match source.randrange(9):
        case 0 | 1:
            board.set_state(number, source.choice(list(SlotState)))
        case 2:
            board.set_state(number, source.randrange(256))
        case 3 | 4:
            board.set_pid(number, source.choice(pids))
        case 5:
            board.set_pid(number, board.pid(source.randrange(_WATCHED)))
        case 6:
            start = _RECORDS + number * RECORD_SIZE
            board.memory[start : start + RECORD_SIZE] = source.randbytes(RECORD_SIZE)
        case 7:
            board.memory[source.randrange(64)] = source.randrange(256)
        case _:
            board.memory[source.randrange(_STATES + _WATCHED)] = source.randrange(256)


def anything(arena: Arena) -> None:
    """Write anything anywhere, at a reload, at a re-exec, and at a stop if that is wanted."""
    rounds_in, rounds_out = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(rounds_out)
        pids = arena.foreign_pids()
        while os.read(rounds_in, 1):  # a round has begun; the arena is gone at the end
            for _ in range(arena.source.randrange(1, 6)):
                for _ in range(arena.source.randrange(_MOST_TURNS)):
                    os.sched_yield()
                _scribble_once(arena, pids)
            arena.ring()
        os._exit(0)
    os.close(rounds_in)
    begin = time.monotonic()
    orders = {1.0: signal.SIGHUP, 2.0: signal.SIGUSR2, 3.0: signal.SIGHUP}
    while (passed := time.monotonic() - begin) < _SCRIBBLE_SECONDS:
        for due in [one for one in orders if one <= passed]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(arena.master, orders.pop(due))
        os.write(rounds_out, b"r")
        with contextlib.suppress(OSError), connect(f"{arena.folder}/victim") as one:
            one.settimeout(0.02)
            one.sendall(b"hello")
            one.recv(5)
        if not arena.is_alive():
            break
        assert exchange(f"{arena.folder}/other", b"hello") == b"hello"
    if arena.is_to_stop and arena.is_alive():
        os.write(rounds_out, b"r" * _ROUNDS_AT_STOP)
        arena.supervisor.server.signal(signal.SIGTERM)
        arena.supervisor.server.wait()
    os.close(rounds_out)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    arena.forget_leavers()


ATTACKS: dict[str, Callable[[Arena], None]] = {
    one.__name__: one
    for one in (
        negative_pid,
        minus_one,
        missing_pid,
        process_one,
        no_such_pid,
        pid_of_canary,
        pid_of_master,
        pid_of_another_service,
        step_beyond_all,
        unknown_family,
        absurd_time,
        accepts_twice,
        stillborn_and_there,
        busy_and_stillborn,
        news_of_free_slots,
        states_beyond_all,
        random_bytes,
        truncated_file,
        anything,
    )
}


def main() -> None:
    """Run one attack and print the verdict, or after a long time where it is stuck."""
    faulthandler.dump_traceback_later(_MOST_SECONDS, exit=True)
    is_to_stop = bool(sys.argv[4:] and sys.argv[4])
    arena = Arena(sys.argv[2], random.Random(int(sys.argv[3])), is_to_stop=is_to_stop)
    ATTACKS[sys.argv[1]](arena)
    json.dump(arena.verdict(), sys.stdout)


if __name__ == "__main__":
    main()
