"""What the services do at this moment, as the document that the control socket tells.

Owns where each number of the document comes from. Must not know who asks, nor how it travels. It
only reads: a question changes nothing.
"""

import time
from collections.abc import Iterable

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
)
from socketd.master.endpoint import Endpoint
from socketd.master.member import Member
from socketd.master.override import NO_OVERRIDE
from socketd.pool.messages import PoolTimer
from socketd.pool.states import WorkerState
from socketd.pool.tally import DURATION_BOUNDS, MEMORY_BOUNDS, Spread, Tally
from socketd.programs.peer import NOBODY
from socketd.system import procfs
from socketd.system.queues import Queues
from socketd.workers.layout import SlotState

_NS_PER_SECOND = 1_000_000_000
_LETTERS = {WorkerState.BUSY: "W", WorkerState.RETIRING: "R"}
_OF_FORMER = {"_": "o", "W": "O"}
_MOST_WORKERS = 200  # of each a file of /proc is read, and nobody is served meanwhile


def services_of(members: Iterable[Member]) -> list[Service]:
    """Return all services, each with its listeners, in the order in which they were founded."""
    by_service: dict[str, Service] = {}
    listenings: dict[str, Listening] = {}
    with Queues() as queues:
        for member in members:
            if member.is_favourite:
                # Its service came first, and its listener is that of its service.
                size = member.size
                of_service = listenings[str(member.listener)]
                program = text(member.settings.program.path)
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
    return list(by_service.values())


def listening_of(member: Member, queues: Queues) -> Listening:
    """Return what one listener does."""
    now, tally = time.monotonic(), member.tally
    member.ask(lambda endpoint: endpoint.settle_books(), otherwise=None)
    board = member.ask(_board_of, otherwise="")
    waiting = None
    if member.listener.socket.fileno() >= 0:
        waiting = queues.of(member.listener.socket)
    pool = member.in_force.pool
    return Listening(
        address=text(str(member.listener)),
        state=_state_of(member),
        generation=member.ask(lambda endpoint: endpoint.pool.generation, otherwise=0),
        strategy=pool.strategy.value,
        workers=Workers(
            idle=board.count("_"),
            busy=board.count("W") + board.count("O"),
            starting=board.count("S"),
            retiring=board.count("R"),
            outdated=board.count("o"),
            target=member.ask(lambda endpoint: endpoint.pool.size.total, otherwise=0),
            min=pool.minimum,
            max=pool.maximum,
            is_set=member.override != NO_OVERRIDE,
        ),
        board=board,
        queue=None if waiting is None else Queue(waiting.length, waiting.limit),
        connections=_connections_of(tally),
        refused={reason.replace(" ", "_"): count for reason, count in tally.refused.items()},
        nobody_idle=tally.nobody_idle,
        max_reached=tally.max_reached,
        busy_seconds=round(tally.busy_seconds, 3),
        idle_seconds=round(tally.idle_seconds, 3),
        failures=Failures(tally.failures, text(tally.failure), _time_of_day(tally.failed_seconds)),
        back_off=_back_off_of(member, now),
        level=_level_of(member),
        template=_template_of(member, now),
        favourites=[],
        crashes=member.crashes,
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


def text(words: str) -> str:
    """Return a text that can be sent: a path may hold bytes that are no text."""
    return words.encode(errors="backslashreplace").decode()


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
    if member.is_stopping:
        return "stopping"
    if not member.is_ready:
        return "starting"
    return "drained" if member.override.is_drained else "running"


def _connections_of(tally: Tally) -> Connections:
    return Connections(
        tally.accepted,
        dict(tally.closed),
        dict(tally.ended),
        round(tally.cpu_seconds, 6),
        _histogram(DURATION_BOUNDS, tally.durations),
        _histogram(MEMORY_BOUNDS, tally.memory),
    )


def _histogram(bounds: tuple[float, ...], spread: Spread) -> Histogram:
    return Histogram(list(bounds), spread.cumulative(), round(spread.sum, 6))


def _back_off_of(member: Member, now: float) -> BackOff | None:
    restart = member.restart_due_seconds
    if restart is not None:
        return BackOff(_left(restart, now), member.crashes, "a fault of socketd; see the log")

    def ask(endpoint: Endpoint) -> BackOff | None:
        due, said = endpoint.timers.due.get(PoolTimer.RETRY), endpoint.books.back_off
        if due is None or said is None:
            return None
        return BackOff(_left(due, now), said.step, text(said.reason))

    return member.ask(ask, otherwise=None)


def _left(due_seconds: float, now: float) -> float:
    return round(max(0.0, due_seconds - now), 3)


def _level_of(member: Member) -> Level:
    wanted = member.settings.readiness.level
    had = member.ask(lambda endpoint: endpoint.processes.level, otherwise=None)
    reason = "" if had is None or had is wanted else text(member.tally.template_reason)
    return Level(wanted.value, None if had is None else had.value, reason)


def _template_of(member: Member, now: float) -> Template:
    tally = member.tally
    pid = tally.template_pid
    is_there = member.ask(lambda it: pid in it.processes.template_pids, otherwise=False)
    age_seconds = round(now - tally.template_seconds, 3) if is_there else None
    return Template(
        pid if is_there else None, age_seconds, tally.templates_begun, tally.templates_failed
    )


def _time_of_day(monotonic_seconds: float | None) -> float | None:
    if monotonic_seconds is None:
        return None
    return round(time.time() - (time.monotonic() - monotonic_seconds), 3)


def _program_of(settings: ServiceSettings) -> str:
    folders = None if settings.front is None else settings.front.folders
    if folders is None:
        return text(settings.program.path)
    return text(":".join(folders.scripts if folders.root is None else (folders.root,)))


def _front_of(settings: ServiceSettings) -> str:
    if settings.front is None:
        return "none"
    return "scgi" if settings.front.keep_seconds is None else "fcgi"
