"""What the services do at this moment, as the document that the control socket tells.

Owns where each number of the document comes from. Must not know who asks, nor how it travels. It
only reads: a question changes nothing.
"""

import socket
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

from socketd.admission.refusal import REASONS
from socketd.config.services import ServiceSettings
from socketd.control import document
from socketd.control.authority import Seen, Subject
from socketd.control.document import Service, Worker, text
from socketd.control.structures import structure_of
from socketd.master.endpoint import Endpoint
from socketd.master.member import Member
from socketd.master.override import NO_OVERRIDE
from socketd.pool.messages import PoolTimer
from socketd.pool.states import WorkerState
from socketd.pool.tally import DURATION_BOUNDS, MEMORY_BOUNDS, Meter, Spread, Tally
from socketd.programs.peer import NOBODY
from socketd.settings.readiness import ReadyLevel
from socketd.system import procfs
from socketd.system.queues import Queues, inode_of
from socketd.workers.layout import SlotState

_BackOff = structure_of(document.BackOff)
_Connections = structure_of(document.Connections)
_Failures = structure_of(document.Failures)
_Favourite = structure_of(document.Favourite)
_Histogram = structure_of(document.Histogram)
_Lasting = structure_of(document.Lasting)
_Level = structure_of(document.Level)
_Passing = structure_of(document.Passing)
_Queue = structure_of(document.Queue)
_Template = structure_of(document.Template)
_Workers = structure_of(document.Workers)
_DURATIONS, _SIZES = list(DURATION_BOUNDS), list(MEMORY_BOUNDS)
_KEYS = {reason: reason.replace(" ", "_") for reason in REASONS}
_NS_PER_SECOND = 1_000_000_000
_STARTING = "S"
_LETTERS = {WorkerState.BUSY: "W", WorkerState.RETIRING: "R"}
_OF_FORMER = {"_": "o", "W": "O"}
_MOST_WORKERS = 200  # of each a file of /proc is read, and nobody is served meanwhile


class Overview:
    """Looks at all listeners, time and again.

    Most of them have had no event since the last time. Of those only what changes with time is
    looked at: what it is counted from is kept.
    """

    def __init__(self) -> None:
        self._known: dict[Member, _Known] = {}

    def of(self, members: Sequence[Member]) -> Iterator[Seen]:
        """Yield each listener, in the order in which they were founded."""
        favourites: dict[int, list[Member]] = {}
        for one in members:
            if one.is_favourite:  # its listener is that of its service
                favourites.setdefault(id(one.listener), []).append(one)
        former, self._known = self._known, {}
        queues = Queues()
        for member in members:
            if member.is_favourite:
                continue
            if member.ask(_has_refused, otherwise=False):
                member.note_change()
            own = favourites.get(id(member.listener), ()) if favourites else ()
            stamp = (member.changed, *[one.changed for one in own]) if own else member.changed
            known = former.get(member)
            if known is None or known.subject.stamp != stamp:
                known = known_of(member, own, stamp)
            self._known[member] = known
            yield known.subject, _passing_of(known, member.tally, queues)


class _Known(NamedTuple):
    """From what on that is counted which passes. `template` is a pid and since when it serves."""

    subject: Subject
    meters: list[Meter]
    favourites: list[document.Favourite]
    back_off: tuple[float, int, str] | None
    template: tuple[int, float] | None
    departs_seconds: float | None
    listening: socket.socket
    inode: int | None


class _Present(NamedTuple):
    """What only an endpoint knows of itself."""

    generation: int
    target: int
    board: str
    level: ReadyLevel | None
    meter: Meter | None
    back_off: tuple[float, int, str] | None
    template: tuple[int, float] | None


_ABSENT = _Present(0, 0, "", None, None, None, None)


def known_of(member: Member, favourites: Sequence[Member], stamp: object) -> _Known:
    """Return what is known of a listener as long as nothing happens to it."""
    present = member.ask(_present_of, otherwise=_ABSENT)
    meters = [] if present.meter is None else [present.meter]
    own = []
    for one in favourites:
        size, meter = one.size, one.ask(_meter_of, otherwise=None)
        meters += [] if meter is None else [meter]
        own.append(_Favourite(text(one.settings.program.path), size.idle, size.busy))
    back_off, restart = present.back_off, member.restart_due_seconds
    if restart is not None:
        back_off = restart, member.crashes, "a fault of socketd; see the log"
    # That a worker is up is told by the board alone, and by no event.
    lasts = None if _STARTING in present.board else stamp
    subject = Subject(member, lasts, partial(_lasting_of, member, present))
    listener = member.listener
    inode = inode_of(listener.socket) if listener.port is None else None
    departure = member.departure
    return _Known(
        subject,
        meters,
        own,
        back_off,
        present.template,
        None if departure is None else departure.due_seconds,
        listener.socket,
        inode,
    )


def _present_of(endpoint: Endpoint) -> _Present:
    if endpoint.is_finished:  # its board is closed
        return _ABSENT
    pool, processes, books = endpoint.pool, endpoint.processes, endpoint.books
    due, said, tally = endpoint.timers.due_seconds(PoolTimer.RETRY), books.back_off, books.tally
    serves = tally.template_pid in processes.template_pids
    return _Present(
        pool.generation,
        pool.size.total,
        _board_of(endpoint),
        processes.level,
        books.meter,
        None if due is None or said is None else (due, said.step, text(said.reason)),
        (tally.template_pid, tally.template_seconds) if serves else None,
    )


def _meter_of(endpoint: Endpoint) -> Meter | None:
    return None if endpoint.is_finished else endpoint.books.meter


def _has_refused(endpoint: Endpoint) -> bool:
    """Count those who were sent away, which is no event; tell whether there were some."""
    if endpoint.is_finished:  # its board is closed
        return False
    return endpoint.doorkeeper.count_refused(endpoint.books.tally)


def _passing_of(known: _Known, tally: Tally, queues: Queues) -> document.Passing:
    """Return what is different at any time, counted from what is known."""
    _, meters, favourites, since_failures, serving, departs, listening, inode = known
    now = time.monotonic()
    idle_seconds, busy_seconds = tally.idle_seconds, tally.busy_seconds
    for meter in meters:
        idle, busy = meter.running(now)
        idle_seconds += idle
        busy_seconds += busy
    waiting = queues.of_tcp(listening) if inode is None else queues.of_unix(inode)
    back_off, pid, age = None, None, None
    if since_failures is not None:
        due, step, reason = since_failures
        back_off = _BackOff(_milliseconds(max(0.0, due - now)), step, reason)
    if serving is not None:
        pid, age = serving[0], _milliseconds(now - serving[1])
    return _Passing(
        None if waiting is None else _Queue(*waiting),
        _milliseconds(busy_seconds),
        _milliseconds(idle_seconds),
        back_off,
        _Template(pid, age, tally.templates_begun, tally.templates_failed),
        favourites,
        None if departs is None else _milliseconds(max(0.0, departs - now)),
    )


def _milliseconds(seconds: float) -> float:
    """Return it down to the millisecond; round() takes three times as long."""
    return int(seconds * 1000) / 1000


def _lasting_of(member: Member, present: _Present) -> tuple[Service, document.Lasting]:
    """Return the service of a listener, and what the listener is until something happens to it."""
    settings, tally, pool = member.settings, member.tally, member.in_force.pool
    board, had, readiness = present.board, present.level, settings.readiness
    wanted = readiness.level
    lasting = _Lasting(
        text(str(member.listener)),
        _state_of(member),
        present.generation,
        pool.strategy.value,
        _Workers(
            idle=board.count("_"),
            busy=board.count("W") + board.count("O"),
            starting=board.count(_STARTING),
            retiring=board.count("R"),
            outdated=board.count("o"),
            target=present.target,
            min=pool.minimum,
            max=pool.maximum,
            is_set=member.override != NO_OVERRIDE,
        ),
        board,
        _Connections(
            tally.accepted,
            tally.closed,
            tally.ended,
            round(tally.cpu_seconds, 6),
            _histogram(_DURATIONS, tally.durations),
            _histogram(_SIZES, tally.memory),
        ),
        {_KEYS.get(reason, reason): count for reason, count in tally.refused.items()},
        tally.nobody_idle,
        tally.max_reached,
        _Failures(tally.failures, text(tally.failure), _failed_at(tally)),
        _Level(
            wanted.value,
            None if had is None else had.value,
            "" if had is None or had is wanted else text(tally.template_reason),
            readiness.is_auto,
        ),
        tally.crashes,
    )
    return Service(settings.name, _program_of(settings), _front_of(settings), []), lasting


def _failed_at(tally: Tally) -> float | None:
    if tally.failed_seconds is None:
        return None
    return round(time.time() - (time.monotonic() - tally.failed_seconds), 3)


def workers_of(endpoint: Endpoint, start: int) -> tuple[list[Worker], int | None]:
    """Return the workers from a number on, and the number of the next if there are more."""
    present = [one for one in endpoint.pool.state().workers if one.number >= start]
    present.sort(key=lambda one: one.number)
    some, rest = present[:_MOST_WORKERS], present[_MOST_WORKERS:]
    now, now_ns = time.monotonic(), time.monotonic_ns()
    ledger, board = endpoint.processes.ledger, endpoint.processes.board
    workers = []
    for one in some:
        pid, slot = ledger.pid(one.number), ledger.find(one.number)
        usage = procfs.usage(pid) if pid else None
        peer = connection_seconds = None
        if one.state is WorkerState.BUSY and slot is not None:
            record = board.record(one.number)
            peer = None if record.client == NOBODY else str(record.route)
            begun_ns = ledger.accepted_ns(one.number, record.accepted_ns)
            connection_seconds = round((now_ns - begun_ns) / _NS_PER_SECOND, 3)
        state = one.state
        if state is WorkerState.STARTING and board.state(one.number) != SlotState.STARTING:
            state = WorkerState.IDLE  # which workers do not tell once a service is up
        workers.append(
            Worker(
                one.number,
                pid or None,
                state.name.lower(),
                one.generation,
                round(now - one.born_seconds, 3),
                connection_seconds,
                peer,
                None if usage is None else round(usage[0], 2),
                None if usage is None else usage[1],
            )
        )
    return workers, rest[0].number if rest else None


def _board_of(endpoint: Endpoint) -> str:
    """Return the letters: what a worker does that waits is known by the board only."""
    workers, board = endpoint.pool.state().workers, endpoint.processes.board
    if not workers:
        return ""
    generation = endpoint.pool.generation
    letters = ["."] * (max(one.number for one in workers) + 1)
    for one in workers:
        letter = _LETTERS.get(one.state)
        if letter is None:
            letter = _STARTING if board.state(one.number) == SlotState.STARTING else "_"
        if one.generation < generation:
            letter = _OF_FORMER.get(letter, letter)
        letters[one.number] = letter
    return "".join(letters)


def _state_of(member: Member) -> str:
    if member.is_finished:
        return "finished"
    if member.restart_due_seconds is not None:
        return "crashed"
    if member.departure is not None:
        return "departing"
    if member.is_stopping:
        return "stopping"
    if not member.is_ready:
        return "starting"
    return "drained" if member.override.is_drained else "running"


def _histogram(bounds: list[float], spread: Spread) -> document.Histogram:
    return _Histogram(bounds, spread.cumulative(), round(spread.sum, 6))


def _program_of(settings: ServiceSettings) -> str:
    folders = None if settings.front is None else settings.front.folders
    if folders is None:
        return text(settings.program.path)
    return text(":".join(folders.scripts if folders.root is None else (folders.root,)))


def _front_of(settings: ServiceSettings) -> str:
    if settings.front is None:
        return "none"
    return "scgi" if settings.front.keep_seconds is None else "fcgi"
