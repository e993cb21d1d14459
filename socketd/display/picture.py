"""What somebody who watches a server sees, as lines of text in a few inks.

Owns where everything is, and what a click on it means. Must not know terminals. Pure: a model goes
in. What strangers have chosen (names, programs, reasons) reaches a line only by `_plain`.
"""

import enum
from collections.abc import Iterator, Sequence

from socketd.control.document import Listening, Worker
from socketd.control.verdict import Health, judge
from socketd.dataclass import dataclass
from socketd.display.cells import beginning, width_of
from socketd.display.columns import (
    LISTENERS_SHAPE,
    WORKERS_SHAPE,
    Line,
    rate,
    span,
)
from socketd.display.fields import FIELDS, NONE, Row, number
from socketd.display.fitting import GAP, fit, padded, shortened, sizes_of
from socketd.display.history import ALL, bars, place_of
from socketd.display.messages import Chosen, Event, Key, Name, Sorted
from socketd.display.model import Model, Notice, name_of
from socketd.display.wording import age, headline, notes_on

_LEAST_TREND = 8
_TREND = "TREND"
_HELP = (
    "Up, Down, Page Up, Page Down, Home, End, the wheel: select a row",
    "Enter, or a second click: the workers of a listener",
    "Escape, Backspace: back to the listeners",
    "Left, Right, < and >, or a click on a head: sort by another column",
    "r, or another click: turn the order round",
    "/: show only rows with a text in them; Escape shows all again",
    "k: end the connection of a worker, after a question",
    "p: stand still, and go on",
    "q: leave",
    "",
    "A chart is five seconds a letter, the present at its right end.",
)


class Ink(enum.Enum):
    """How a text looks."""

    PLAIN = enum.auto()
    BOLD = enum.auto()
    DIM = enum.auto()
    HEAD = enum.auto()
    SELECTED = enum.auto()
    CHART = enum.auto()
    KEY = enum.auto()
    GOOD = enum.auto()
    WARNING = enum.auto()
    BAD = enum.auto()


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a line, and what a click on it means."""

    text: str
    ink: Ink = Ink.PLAIN
    event: Event | None = None


Spans = list[Span]


def draw(model: Model) -> list[Spans]:
    """Return the lines of the screen from above, none wider than it."""
    lines = _summary(model) if model.opened is None else _details(model)
    if model.is_help:
        body: list[Spans] = [[Span(text)] for text in ("", *_HELP)]
    elif model.opened is None:
        body = _listeners(model)
    else:
        body = _workers(model)
    lines += body
    room = max(0, model.height - 2)
    lines = lines[:room] + [[] for _ in range(room - len(lines))]
    lines += [_notice(model), _keys(model)]
    return [_cut(spans, model.width) for spans in lines[: model.height]]


def meaning(lines: Sequence[Spans], x: int, y: int) -> Event | None:
    """Return what a click at a place of a picture means."""
    if not 0 <= y < len(lines):
        return None
    for piece in lines[y]:
        width = width_of(piece.text)
        if x < width:
            return piece.event
        x -= width
    return None


def _summary(model: Model) -> list[Spans]:
    """Return what is above the listeners."""
    if model.state is None:
        return [[Span("socketd top", Ink.BOLD)], [], _trouble(model)]
    verdict = judge(model.state)
    ink = {Health.OK: Ink.GOOD, Health.WARNING: Ink.WARNING}.get(verdict.health, Ink.BAD)
    said = [Span("all is well", ink)]
    if verdict.complaints:
        count = len(verdict.complaints)
        first = f"1 of {count}: " if count > 1 else ""
        said = [Span(first, Ink.DIM), Span(_plain(verdict.complaints[0]), ink)]
    track = model.tracks[ALL]
    busy, most, waiting = (
        sum(number(row, name) for row in model.rows) for name in ("busy", "max", "queue")
    )
    parts = (
        (f"busy {busy} of {most} ", track.busy, float(most)),
        (f"   clients {rate(track.came_rate)}/s ", track.came, 1.0),
        (f"   waiting {waiting} ", track.waiting, 1.0),
    )
    room = (model.width - sum(len(text) for text, _, _ in parts)) // len(parts)
    numbers = [
        one
        for text, values, least in parts
        for one in (Span(text), Span(bars(values, least, max(0, room)), Ink.CHART))
    ]
    return [
        [Span(_plain(headline(model.state)), Ink.BOLD)],
        numbers,
        _trouble(model) if model.trouble else said,
    ]


def _details(model: Model) -> list[Spans]:
    """Return what is above the workers of a listener."""
    found = [row for row in model.rows if place_of(row) == model.opened]
    if not found:
        return [[Span("  ".join(model.opened or ()), Ink.BOLD)]]
    row = found[0]
    service, one = row
    track = model.tracks[place_of(row)]
    title = f"{service.name}  {one.address}  {one.state}  {service.program}"
    queue = NONE if one.queue is None else f"{one.queue.length} of {one.queue.limit}"
    limit = 1.0 if one.queue is None else min(float(one.queue.limit), 10.0)
    charts = (
        ("busy", f"{one.workers.busy} of {one.workers.max}", track.busy, float(one.workers.max)),
        ("waiting", queue, track.waiting, limit),
        ("clients", f"{rate(track.came_rate)}/s", track.came, 1.0),
    )
    notes = [note.removeprefix(f"{service.name} {one.address}: ") for note in notes_on([row])]
    if model.state is not None and one.back_off is None and one.failures.failed_at is not None:
        since = age(model.state.server.answered_at - one.failures.failed_at)
        notes.append(f"a worker has failed {since} ago: {one.failures.reason}")
    return [
        [Span(_plain(title), Ink.BOLD)],
        *(
            [Span(f"{name:8}{value:14}"), Span(bars(values, most, model.width - 23), Ink.CHART)]
            for name, value, values, most in charts
        ),
        [Span(_facts(row))],
        [Span(_made(one))],
        [Span(shortened(one.board, model.width), Ink.DIM)],
        _trouble(model) if model.trouble else [Span(_plain("; ".join(notes)), Ink.WARNING)],
    ]


def _facts(row: Row) -> str:
    one = row[1]
    words = [
        f"{one.connections.accepted} accepted",
        f"{number(row, 'failed')} failed",
        f"{number(row, 'refused')} refused",
        f"nobody idle {one.nobody_idle}x",
        f"full {one.max_reached}x",
        f"{one.failures.count} workers failed",
    ]
    return ", ".join(words)


def _made(one: Listening) -> str:
    level = one.level.had or NONE
    words = [f"ready {level}", f"{one.strategy}, {one.workers.min} to {one.workers.max}"]
    if one.template.pid is not None:
        words.append(f"template {one.template.pid} for {age(one.template.age_seconds or 0.0)}")
    words.append(f"generation {one.generation}")
    if one.favourites:
        words.append(f"{len(one.favourites)} favourites")
    return ", ".join(words)


def _listeners(model: Model) -> list[Spans]:
    shown: Sequence[Line] = model.entries[model.of_listeners.first :][: model.body_height]
    heads = [one.head for one in model.columns]
    cells = [[_plain(one.cell(line)) for one in model.columns] for line in shown]
    room = model.width - GAP - _LEAST_TREND
    keep = fit(heads, cells, LISTENERS_SHAPE, room)
    sizes = sizes_of(heads, cells, keep, LISTENERS_SHAPE, room)
    trend = max(0, model.width - sum(sizes.values()) - GAP * len(keep))
    head = [*_head(model, heads, keep, sizes), Span(_TREND.rjust(trend)[:trend], Ink.HEAD)]
    drawn = [
        _row(
            place_of(line[0]),
            _row_text(model, heads, texts, keep, sizes),
            bars(line[1].busy, float(line[0][1].workers.max), trend),
            ink=_ink_of(line),
            is_selected=place_of(line[0]) == model.of_listeners.selected,
        )
        for line, texts in zip(shown, cells, strict=True)
    ]
    if not drawn:
        return [head, *_nothing(model, "no listeners")]
    return [head, *drawn, *_more_complaints(model, model.body_height - len(drawn))]


def _more_complaints(model: Model, room: int) -> list[Spans]:
    """Return what is wrong besides the first, as far as the table leaves room for it."""
    more = [] if model.state is None else judge(model.state).complaints[1:]
    room -= 1  # an empty line above
    if len(more) > room:
        kept = max(0, room - 1)
        more = [*more[:kept], f"and {len(more) - kept} more"] if room > 0 else []
    return [[], *([Span(_plain(one), Ink.WARNING)] for one in more)] if more else []


def _workers(model: Model) -> list[Spans]:
    if model.workers is None:
        return []  # until the server has told them
    shown: Sequence[Worker] = model.entries[model.of_workers.first :][: model.body_height]
    heads = [one.head for one in model.columns]
    cells = [[_plain(one.cell(worker)) for one in model.columns] for worker in shown]
    keep = fit(heads, cells, WORKERS_SHAPE, model.width)
    sizes = sizes_of(heads, cells, keep, WORKERS_SHAPE, model.width)
    drawn = [
        _row(
            name_of(worker),
            _row_text(model, heads, texts, keep, sizes),
            "",
            ink=Ink.PLAIN if worker.connection_seconds is not None else Ink.DIM,
            is_selected=name_of(worker) == model.of_workers.selected,
        )
        for worker, texts in zip(shown, cells, strict=True)
    ]
    head = _head(model, heads, keep, sizes)
    return [head, *drawn] if drawn else [head, *_nothing(model, "no workers")]


def _nothing(model: Model, what: str) -> list[Spans]:
    text = f"{what} with {model.find!r} in them" if model.find else what
    return [[Span(text, Ink.DIM)]]


def _head(model: Model, heads: list[str], keep: list[str], sizes: dict[str, int]) -> Spans:
    spans = []
    for name in keep:
        is_text = _is_text(model, heads.index(name))
        ink = Ink.SELECTED if name == model.view.column else Ink.HEAD
        spans.append(Span(padded(name, sizes[name], is_text=is_text), ink, Sorted(name)))
        spans.append(Span(" " * GAP, Ink.HEAD, Sorted(name)))
    return spans


def _row_text(
    model: Model, heads: list[str], texts: list[str], keep: list[str], sizes: dict[str, int]
) -> str:
    places = [heads.index(name) for name in keep]
    return "".join(
        padded(texts[place], sizes[name], is_text=_is_text(model, place)) + " " * GAP
        for name, place in zip(keep, places, strict=True)
    )


def _row(name: Name, text: str, chart: str, *, ink: Ink, is_selected: bool) -> Spans:
    event = Chosen(name)
    if is_selected:
        return [Span(text + chart, Ink.SELECTED, event)]
    return [Span(text, ink, event), Span(chart, Ink.CHART, event)]


def _is_text(model: Model, place: int) -> bool:
    return model.columns[place].is_text


def _ink_of(line: Line) -> Ink:
    """Return how a listener looks: in the colour of its own state."""
    one = line[0][1]
    waiting = FIELDS["queue"](*line[0])
    if one.state == "crashed" or (one.back_off is not None and not one.workers.idle):
        return Ink.BAD
    if one.state != "running" or one.back_off is not None or one.workers.busy >= one.workers.max:
        return Ink.WARNING
    if (line[1].failed_rate or 0.0) * 2 > (line[1].came_rate or 0.0):  # most of what it does fails
        return Ink.WARNING
    return Ink.WARNING if waiting else Ink.PLAIN


def _trouble(model: Model) -> Spans:
    return [Span(_plain(model.trouble), Ink.BAD)]


def _notice(model: Model) -> Spans:
    worker = model.question
    if worker is not None:
        whose = f", client {worker.peer}" if worker.peer else ""
        for_seconds = span(worker.connection_seconds)
        text = f"End the connection of process {worker.pid}{whose}, connected {for_seconds}?"
        return [Span(_plain(text), Ink.WARNING)]
    if model.is_finding or model.find:
        return [Span(f"/{_plain(model.find)}{'_' if model.is_finding else ''}", Ink.BOLD)]
    if model.notice:
        ink = Ink.GOOD if model.notice_kind is Notice.DONE else Ink.WARNING
        return [Span(_plain(model.notice), ink)]
    if model.is_paused:
        return [Span("stands still; p goes on", Ink.WARNING)]
    if len(model.names) > model.body_height:
        return [Span(f"row {model.view.place + 1} of {len(model.names)}", Ink.DIM)]
    return []


def _keys(model: Model) -> Spans:
    if model.question is not None:
        return [*_button("y", "Yes, end it"), *_button("n", "No")]
    if model.is_help:
        return _button("escape", "Back", "Esc")
    if model.is_finding:
        return [*_button("enter", "Keep", "Enter"), *_button("escape", "Show all", "Esc")]
    first = (
        _button("enter", "Open", "Enter")
        if model.opened is None
        else [*_button("escape", "Back", "Esc"), *_button("k", "End connection")]
    )
    others = (  # the last ones are off the edge of a narrow terminal
        *_button("?", "Help"),
        *_button("q", "Quit"),
        *_button("/", "Find"),
        *_button(">", "Sort"),
        *_button("r", "Reverse"),
        *_button("p", "Go on" if model.is_paused else "Pause"),
    )
    return [*first, *others]


def _button(key: str, text: str, shown: str = "") -> Spans:
    return [Span(shown or key, Ink.KEY, Key(key)), Span(f" {text}  ", Ink.PLAIN, Key(key))]


def _plain(text: str) -> str:
    """Return a text that a terminal shows as it is, and obeys in nothing."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _cut(spans: Spans, width: int) -> Spans:
    return list(_within(spans, width))


def _within(spans: Spans, width: int) -> Iterator[Span]:
    for piece in spans:
        if width <= 0:
            return
        yield Span(beginning(piece.text, width), piece.ink, piece.event)
        width -= width_of(piece.text)
