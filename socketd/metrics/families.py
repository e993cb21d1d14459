"""What a state is in metrics: names, labels, meanings.

Owns the names of all metrics. Must not know the formats in which they are written, nor how a state
was asked for.

The names keep to the conventions of Prometheus: base units, `_total` for counters, a limit beside
each value that has one. There is a series for a listener and none for a process: with a process for
each connection those would have no end.
"""

from collections.abc import Callable, Iterator, Mapping

from socketd.control.document import Attempts, Histogram, Level, Listening, Server, State
from socketd.metrics.exposition import Family, labelled

_SERVER_STATES = ("starting", "running", "stopping")
_LISTENER_STATES = (
    "starting",
    "running",
    "departing",
    "drained",
    "stopping",
    "crashed",
    "finished",
)

# The labels of a listener as they stand in a sample, and the listener.
_Labelled = list[tuple[str, Listening]]


def families(state: State) -> Iterator[Family]:
    """Yield all families; of what a server does not know a family has no sample."""
    yield from _of_server(state.server)
    info = Family("socketd_service", "info", "What a service runs.")
    listeners: _Labelled = []
    for service in state.services:
        info.add(
            labelled(service=service.name, program=service.program, front=service.front),
            1,
        )
        listeners += [
            (labelled(service=service.name, listener=one.address), one) for one in service.listeners
        ]
    yield info
    yield from _of_workers(listeners)
    yield from _of_connections(listeners)
    yield from _of_troubles(listeners)
    yield from _of_templates(listeners)


def _of_server(server: Server) -> Iterator[Family]:
    yield _one(
        "socketd_build",
        "info",
        "The versions of socketd and of Python.",
        1,
        labelled(version=server.version, python=server.python),
    )
    yield _words(
        "socketd_server_state",
        "What the server is doing: 1 for the state that it is in.",
        _SERVER_STATES,
        server.state,
    )
    for name, kind, meaning, value in (
        ("start_time_seconds", "gauge", "When the server was started.", server.started_at),
        (
            "executed_timestamp_seconds",
            "gauge",
            "When the present version of the server began: at its start or the last re-exec.",
            server.executed_at,
        ),
        ("master_cpu_seconds", "counter", "Processor time of the master.", server.cpu_seconds),
        (
            "master_resident_memory_bytes",
            "gauge",
            "Memory of the master, with what it shares.",
            server.rss_bytes,
        ),
        ("faults", "counter", "Faults that are bugs in socketd and were survived.", server.faults),
    ):
        yield _one(f"socketd_{name}", kind, meaning, value)
    yield from _of_attempts("reload", server.reloads)
    yield from _of_attempts("re-exec", server.reexecs)


def _of_attempts(what: str, attempts: Attempts) -> Iterator[Family]:
    name = what.replace("-", "")
    count = Family(f"socketd_{name}s", "counter", f"How often a {what} was asked for, by result.")
    count.add(labelled(result="done"), attempts.done)
    count.add(labelled(result="failed"), attempts.failed)
    yield count
    last = attempts.last
    if last is not None:
        yield _one(
            f"socketd_last_{name}_successful",
            "gauge",
            f"Whether the last {what} was carried out.",
            int(not last.errors),
        )
        yield _one(
            f"socketd_last_{name}_timestamp_seconds",
            "gauge",
            f"When the last {what} was over.",
            last.finished_at,
        )


def _of_workers(listeners: _Labelled) -> Iterator[Family]:
    states = Family(
        "socketd_listener_state",
        "gauge",
        "What a listener is doing: 1 for the state that it is in.",
    )
    workers = Family("socketd_workers", "gauge", "Workers by what they do.")
    each_state = states.block("state", _LISTENER_STATES)
    each_worker = workers.block("state", ("idle", "busy", "starting", "retiring", "outdated"))
    for labels, one in listeners:
        states.add_block(each_state, labels, tuple(int(one.state == it) for it in _LISTENER_STATES))
        now = one.workers
        numbers = (now.idle, now.busy, now.starting, now.retiring, now.outdated)
        workers.add_block(each_worker, labels, numbers)
    yield states
    yield workers
    for name, kind, meaning, value in _NUMBERS_OF_WORKERS:
        yield _each(name, kind, meaning, listeners, value)


_Number = tuple[str, str, str, Callable[[Listening], float | None]]
_NUMBERS_OF_WORKERS: tuple[_Number, ...] = (
    (
        "workers_target",
        "gauge",
        "Workers that are wanted at this moment.",
        lambda one: one.workers.target,
    ),
    ("workers_min", "gauge", "The least number of workers.", lambda one: one.workers.min),
    ("workers_max", "gauge", "The most workers that there may be.", lambda one: one.workers.max),
    (
        "worker_busy_seconds",
        "counter",
        "Time that all workers together have had a connection.",
        lambda one: one.busy_seconds,
    ),
    (
        "worker_idle_seconds",
        "counter",
        "Time that all workers together have waited for a connection.",
        lambda one: one.idle_seconds,
    ),
    (
        "nobody_idle",
        "counter",
        "How often the last worker that waited has got a connection.",
        lambda one: one.nobody_idle,
    ),
    (
        "max_reached",
        "counter",
        "How often there were as many workers as there may be.",
        lambda one: one.max_reached,
    ),
    (
        "queue_length",
        "gauge",
        "Clients that wait in the kernel's queue for a worker.",
        lambda one: None if one.queue is None else one.queue.length,
    ),
    (
        "queue_limit",
        "gauge",
        "How many clients can wait in that queue.",
        lambda one: None if one.queue is None else one.queue.limit,
    ),
    ("generation", "gauge", "Of the workers that are started now.", lambda one: one.generation),
)


def _of_connections(listeners: _Labelled) -> Iterator[Family]:
    yield _each(
        "connections",
        "counter",
        "Connections that a worker has accepted.",
        listeners,
        lambda one: one.connections.accepted,
    )
    yield _by_word(
        "connections_closed",
        "Connections that are over, by how they have ended.",
        listeners,
        "result",
        lambda one: one.connections.closed,
    )
    yield _by_word(
        "connections_ended",
        "Connections that were ended before their program did, by the limit.",
        listeners,
        "limit",
        lambda one: one.connections.ended,
    )
    yield _by_word(
        "refused",
        "Clients that were sent away before they got a worker, by reason.",
        listeners,
        "reason",
        lambda one: one.refused,
    )
    yield _each(
        "connections_cpu_seconds",
        "counter",
        "Processor time of all connections that are over.",
        listeners,
        lambda one: one.connections.cpu_seconds,
    )
    yield _histogram(
        "socketd_connection_duration_seconds",
        "How long connections have lasted.",
        listeners,
        lambda one: one.connections.duration_seconds,
    )
    yield _histogram(
        "socketd_connection_max_rss_bytes",
        "The most memory of each connection.",
        listeners,
        lambda one: one.connections.max_rss_bytes,
    )


def _of_troubles(listeners: _Labelled) -> Iterator[Family]:
    yield _each(
        "worker_failures",
        "counter",
        "Workers that have failed before they had a connection.",
        listeners,
        lambda one: one.failures.count,
    )
    yield _each(
        "last_worker_failure_timestamp_seconds",
        "gauge",
        "When the last worker has failed.",
        listeners,
        lambda one: one.failures.failed_at,
    )
    yield _each(
        "back_off_seconds",
        "gauge",
        "Length of the pause after failures, in which no worker is started; 0 is none.",
        listeners,
        lambda one: 0 if one.back_off is None else one.back_off.seconds,
    )
    yield _each(
        "service_crashes",
        "counter",
        "How often a bug in socketd has put the service away.",
        listeners,
        lambda one: one.crashes,
    )


def _of_templates(listeners: _Labelled) -> Iterator[Family]:
    level = Family(
        "socketd_ready_level", "info", "The level of ready that is wanted, and the one that is had."
    )
    favourites = Family(
        "socketd_favourite_workers",
        "gauge",
        "Workers of the programs that requests name and that have workers of their own.",
    )
    for labels, one in listeners:
        had = one.level.had or ""
        level.add(f"{labels},{labelled(wanted=one.level.wanted, had=had)}", 1)
        if one.favourites:
            idle = sum(favourite.idle for favourite in one.favourites)
            busy = sum(favourite.busy for favourite in one.favourites)
            favourites.add(f'{labels},state="idle"', idle)
            favourites.add(f'{labels},state="busy"', busy)
    yield level
    yield _each(
        "ready_level_as_wanted",
        "gauge",
        "Whether workers are made at the level that is wanted, as any is that auto has chosen.",
        listeners,
        lambda one: None if one.level.had is None else int(_is_as_wanted(one.level)),
    )
    yield _each(
        "template_age_seconds",
        "gauge",
        "For how long the process has served that workers are forked from.",
        listeners,
        lambda one: one.template.age_seconds,
    )
    yield _each(
        "templates",
        "counter",
        "Templates that have served so far.",
        listeners,
        lambda one: one.template.begun,
    )
    yield _each(
        "template_failures",
        "counter",
        "How often no template could be had.",
        listeners,
        lambda one: one.template.failed,
    )
    yield favourites


def _is_as_wanted(level: Level) -> bool:
    return level.is_auto or level.had == level.wanted


def _one(name: str, kind: str, meaning: str, value: float, labels: str = "") -> Family:
    family = Family(name, kind, meaning)
    family.add(labels, value)
    return family


def _words(name: str, meaning: str, words: tuple[str, ...], present: str) -> Family:
    family = Family(name, "gauge", meaning)
    for word in words:
        family.add(labelled(state=word), int(word == present))
    return family


def _each(
    name: str,
    kind: str,
    meaning: str,
    listeners: _Labelled,
    value_of: Callable[[Listening], float | None],
) -> Family:
    """Return a family with a sample for each listener that has a value."""
    family = Family(f"socketd_{name}", kind, meaning)
    family.add_all([(labels, value_of(one)) for labels, one in listeners])
    return family


def _by_word(
    name: str,
    meaning: str,
    listeners: _Labelled,
    label: str,
    counts_of: Callable[[Listening], Mapping[str, int]],
) -> Family:
    """Return a family of counters with a sample for each word of each listener."""
    family = Family(f"socketd_{name}", "counter", meaning)
    words: tuple[str, ...] = ()  # which are the same for most listeners
    block = ""
    for labels, one in listeners:
        counts = counts_of(one)
        if tuple(counts) != words:
            words = tuple(counts)
            block = family.block(label, words)
        if counts:
            family.add_block(block, labels, tuple(counts.values()))
    return family


def _histogram(
    name: str,
    meaning: str,
    listeners: _Labelled,
    histogram_of: Callable[[Listening], Histogram],
) -> Family:
    family = Family(name, "histogram", meaning)
    bounds: list[float] = []
    block = family.histogram_block(bounds)
    for labels, one in listeners:
        histogram = histogram_of(one)
        if histogram.bounds != bounds:
            bounds, block = histogram.bounds, family.histogram_block(histogram.bounds)
        counts = histogram.counts
        family.add_block(block, labels, (*counts, counts[-1], histogram.sum))
    return family
