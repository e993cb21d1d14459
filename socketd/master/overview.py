"""What the services do at this moment, as the document that the control socket tells.

Owns where each number of the document comes from. Must not know who asks, nor how it travels. It
only reads: a question changes nothing.
"""

import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from socketd.admission.refusal import REASONS
from socketd.config.services import ServiceSettings
from socketd.control.document import (
    BackOff,
    Connections,
    Failures,
    Favourite,
    Histogram,
    Level,
    Listening,
    Queue,
    Service,
    Template,
    Worker,
    Workers,
    text,
)
from socketd.master.endpoint import Endpoint
from socketd.master.member import Member
from socketd.master.override import NO_OVERRIDE
from socketd.pool.messages import PoolTimer
from socketd.pool.states import WorkerState
from socketd.pool.tally import DURATION_BOUNDS, MEMORY_BOUNDS, Spread
from socketd.programs.peer import NOBODY
from socketd.settings.readiness import ReadyLevel
from socketd.system import procfs
from socketd.system.queues import Queues
from socketd.workers.layout import SlotState

_DURATIONS, _SIZES = list(DURATION_BOUNDS), list(MEMORY_BOUNDS)
_KEYS = {reason: reason.replace(" ", "_") for reason in REASONS}
_NS_PER_SECOND = 1_000_000_000
_LETTERS = {WorkerState.BUSY: "W", WorkerState.RETIRING: "R"}
_OF_FORMER = {"_": "o", "W": "O"}
_MOST_WORKERS = 200  # of each a file of /proc is read, and nobody is served meanwhile


def services_of(members: Iterable[Member]) -> Iterator[list[Service] | None]:
    """Yield None for each step, and last all services, in the order in which they were founded."""
    by_service: dict[str, Service] = {}
    listenings: dict[str, Listening] = {}
    with Queues() as queues:
        for member in members:
            yield None
            if member.is_favourite:
                # Its service came first, and its listener is that of its service.
                of_service = listenings.get(text(str(member.listener)))
                if of_service is not None:
                    size, program = member.size, text(member.settings.program.path)
                    of_service.favourites.append(Favourite(program, size.idle, size.busy))
                continue
            settings = member.settings
            service = by_service.get(settings.name)
            if service is None:
                service = Service(settings.name, _program_of(settings), _front_of(settings), [])
                by_service[settings.name] = service
            listening = listening_of(member, queues)
            listenings[listening.address] = listening
            service.listeners.append(listening)
    yield list(by_service.values())


class _Present(NamedTuple):
    """What only an endpoint knows of itself."""

    generation: int
    target: int
    board: str
    level: ReadyLevel | None
    has_template: bool
    back_off: BackOff | None


_ABSENT = _Present(0, 0, "", None, False, None)


def listening_of(member: Member, queues: Queues) -> Listening:
    """Return what one listener does."""
    now, tally, pool = time.monotonic(), member.tally, member.in_force.pool
    present = member.ask(lambda endpoint: _present_of(endpoint, now), otherwise=_ABSENT)
    board, listening = present.board, member.listener.socket
    waiting = queues.of(listening) if listening.fileno() >= 0 else None
    restart = member.restart_due_seconds
    back_off = present.back_off
    if restart is not None:
        back_off = BackOff(_left(restart, now), member.crashes, "a fault of socketd; see the log")
    wanted, had = member.settings.readiness.level, present.level
    failed_at, departure = tally.failed_seconds, member.departure
    return Listening(
        address=text(str(member.listener)),
        state=_state_of(member),
        generation=present.generation,
        strategy=pool.strategy.value,
        workers=Workers(
            idle=board.count("_"),
            busy=board.count("W") + board.count("O"),
            starting=board.count("S"),
            retiring=board.count("R"),
            outdated=board.count("o"),
            target=present.target,
            min=pool.minimum,
            max=pool.maximum,
            is_set=member.override != NO_OVERRIDE,
        ),
        board=board,
        queue=None if waiting is None else Queue(*waiting),
        connections=Connections(
            tally.accepted,
            tally.closed,
            tally.ended,
            round(tally.cpu_seconds, 6),
            _histogram(_DURATIONS, tally.durations),
            _histogram(_SIZES, tally.memory),
        ),
        refused={_KEYS.get(reason, reason): count for reason, count in tally.refused.items()},
        nobody_idle=tally.nobody_idle,
        max_reached=tally.max_reached,
        busy_seconds=round(tally.busy_seconds, 3),
        idle_seconds=round(tally.idle_seconds, 3),
        failures=Failures(
            tally.failures,
            text(tally.failure),
            None if failed_at is None else round(time.time() - (now - failed_at), 3),
        ),
        back_off=back_off,
        level=Level(
            wanted.value,
            None if had is None else had.value,
            "" if had is None or had is wanted else text(tally.template_reason),
            member.settings.readiness.is_auto,
        ),
        template=Template(
            tally.template_pid if present.has_template else None,
            round(now - tally.template_seconds, 3) if present.has_template else None,
            tally.templates_begun,
            tally.templates_failed,
        ),
        favourites=[],
        crashes=tally.crashes,
        departs_in_seconds=None if departure is None else _left(departure.due_seconds, now),
    )


def _present_of(endpoint: Endpoint, now: float) -> _Present:
    if endpoint.is_finished:  # its board is closed
        return _ABSENT
    endpoint.settle_books()
    pool, processes = endpoint.pool, endpoint.processes
    due, said = endpoint.timers.due.get(PoolTimer.RETRY), endpoint.books.back_off
    back_off = None
    if due is not None and said is not None:
        back_off = BackOff(_left(due, now), said.step, text(said.reason))
    return _Present(
        pool.generation,
        pool.size.total,
        _board_of(endpoint),
        processes.level,
        endpoint.books.tally.template_pid in processes.template_pids,
        back_off,
    )


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
            letter = "S" if board.state(one.number) == SlotState.STARTING else "_"
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


def _histogram(bounds: list[float], spread: Spread) -> Histogram:
    return Histogram(bounds, spread.cumulative(), round(spread.sum, 6))


def _left(due_seconds: float, now: float) -> float:
    return round(max(0.0, due_seconds - now), 3)


def _program_of(settings: ServiceSettings) -> str:
    folders = None if settings.front is None else settings.front.folders
    if folders is None:
        return text(settings.program.path)
    return text(":".join(folders.scripts if folders.root is None else (folders.root,)))


def _front_of(settings: ServiceSettings) -> str:
    if settings.front is None:
        return "none"
    return "scgi" if settings.front.keep_seconds is None else "fcgi"
