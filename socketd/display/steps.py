"""What follows from what happens to somebody who watches a server.

Owns the rules of `socketd top`: what a key means, what stays where it is. Must not know terminals,
sockets or clocks. Pure: a model and an event go in; a model comes out, and what is to be done.
"""

from collections.abc import Callable
from typing import Any, assert_never

from socketd.control.document import Worker
from socketd.dataclass import replace
from socketd.display.history import heard, place_of
from socketd.display.messages import (
    Chosen,
    Command,
    End,
    Event,
    Heard,
    Key,
    Leave,
    Listed,
    Look,
    Lost,
    Name,
    Resized,
    Sorted,
    Told,
    Wheeled,
)
from socketd.display.model import Model, Notice, name_of, names_of, ordered

_WHEEL_LINES = 3
_MOST_FOUND = 64

Outcome = tuple[Model, tuple[Command, ...]]


def step(before: Model, event: Event) -> Outcome:
    """Return the model after an event, and what is to be done."""
    model, commands = _follow(before, event)
    if any(one is not other for one, other in zip(_order(model), _order(before), strict=True)):
        model = replace(model, entries=ordered(model))
        model = replace(model, names=names_of(model))
    return _settled(model), commands


def _order(model: Model) -> tuple[object, ...]:
    """Return all that decides what is in the present table, and in which order."""
    view = model.view
    things = (model.opened, model.rows, model.tracks, model.workers, model.find)
    return (*things, view.column, view.is_descending)


def _follow(model: Model, event: Event) -> Outcome:
    commands: tuple[Command, ...] = ()
    match event:
        case Key():
            model, commands = _press(replace(model, notice=""), event.name)
        case Chosen():
            model, commands = _choose(model, event.name)
        case Sorted():
            model = _sort(model, event.head)
        case Wheeled():
            model = _move(model, event.notches * _WHEEL_LINES)
        case Resized():
            model = replace(model, width=max(1, event.width), height=max(1, event.height))
        case Heard():
            model, commands = _hear(model, event)
        case Listed():
            if event.place == model.opened and not model.is_paused:
                model = replace(model, workers=event.workers)
        case Lost():
            model = replace(model, trouble=event.reason)
        case Told():
            kind = Notice.DONE if event.is_done else Notice.TROUBLE
            model = replace(model, notice=event.text, notice_kind=kind)
        case _:
            assert_never(event)
    return model, commands


def _hear(model: Model, event: Heard) -> Outcome:
    model = replace(model, trouble="")
    if model.is_paused:
        return model, ()
    state = event.state
    rows = tuple(
        (service, one)
        for service in state.services
        if model.service in (None, service.name)
        for one in service.listeners
    )
    tracks = heard(model.tracks, rows, event.now_seconds)
    model = replace(model, state=state, rows=rows, tracks=tracks)
    if model.opened is None or model.opened in tracks:
        return model, ()
    gone = " ".join(model.opened)
    return _told(_closed(model), f"{gone} is no more"), (Look(None),)


def _press(model: Model, key: str) -> Outcome:
    if key == "ctrl+c":
        return model, (Leave(),)
    if model.question is not None:
        return _answer(model, model.question, key)
    if model.is_finding:
        return _find(model, key), ()
    if model.is_help:
        return replace(model, is_help=False), ()
    action = _KEYS.get(key)
    return (model, ()) if action is None else action(model)


def _answer(model: Model, worker: Worker, key: str) -> Outcome:
    """End a connection if that was a yes, and it is still the one that was asked about."""
    model = replace(model, question=None)
    if key not in ("y", "Y") or worker.pid is None:
        return model, ()
    before = worker.connection_seconds or 0.0
    for one in model.workers or ():
        if name_of(one) == name_of(worker) and (one.connection_seconds or -1.0) >= before:
            return model, (End(worker.pid),)
    return _told(model, "that connection is over"), ()


def _find(model: Model, key: str) -> Model:
    match key:
        case "enter":
            return replace(model, is_finding=False)
        case "escape":
            return replace(model, is_finding=False, find="")
        case "backspace":
            return replace(model, find=model.find[:-1])
        case _ if len(key) == 1 and key.isprintable() and len(model.find) < _MOST_FOUND:
            return replace(model, find=model.find + key.lower())
    return model


def _choose(model: Model, name: Name) -> Outcome:
    """Select a row, or open it if it was selected."""
    if model.question is not None:
        return model, ()
    if name == model.view.selected and model.opened is None:
        return _open(model)
    return _with_view(model, selected=name), ()


def _sort(model: Model, head: str) -> Model:
    """Sort by a column, the largest number first, or turn the order round."""
    for column in model.columns:
        if column.head == head:
            is_again = head == model.view.column
            is_descending = not (model.view.is_descending if is_again else column.is_text)
            return _with_view(model, column=head, is_descending=is_descending)
    return model


def _sort_beside(model: Model, distance: int) -> Model:
    """Sort by the column beside the present one; before the first is the server's own order."""
    heads = [None, *(one.head for one in model.columns)]
    place = heads.index(model.view.column) + distance
    head = heads[place % len(heads)]
    if head is None:
        return _with_view(model, column=None, is_descending=False)
    return _sort(model, head)


def _move(model: Model, distance: int) -> Model:
    rows = model.names
    if not rows:
        return model
    selected = model.view.selected
    place = rows.index(selected) if selected in rows else 0
    return _with_view(model, selected=rows[min(max(place + distance, 0), len(rows) - 1)])


def _open(model: Model) -> Outcome:
    if model.opened is not None or not model.entries:
        return model, ()
    place = place_of(model.entries[model.view.place][0])
    view = replace(model.of_workers, selected=None, first=0)
    model = replace(model, opened=place, workers=None, of_workers=view, find="")
    return model, (Look(place),)


def _go_back(model: Model) -> Outcome:
    if model.find:
        return replace(model, find=""), ()
    if model.opened is None:
        return model, ()
    return _closed(model), (Look(None),)


def _closed(model: Model) -> Model:
    return replace(model, opened=None, workers=None, question=None, find="")


def _ask_to_end(model: Model) -> Outcome:
    """Ask before a connection is ended; the row may be another by the time of the answer."""
    if model.opened is None:
        return _told(model, "open a listener first: a connection is ended among its workers"), ()
    for worker in model.workers or ():
        if name_of(worker) == model.of_workers.selected:
            if worker.connection_seconds is None or worker.pid is None:
                return _told(model, f"worker {worker.number} has no connection"), ()
            return replace(model, question=worker), ()
    return model, ()


def _told(model: Model, text: str) -> Model:
    return replace(model, notice=text, notice_kind=Notice.TROUBLE)


def _with_view(model: Model, **changes: Any) -> Model:  # noqa: ANN401  fields of a view
    view = replace(model.view, **changes)
    if model.opened is None:
        return replace(model, of_listeners=view)
    return replace(model, of_workers=view)


def _settled(model: Model) -> Model:
    """Return a model whose selected row is there, and on the screen."""
    rows, view = model.names, model.view
    if not rows:
        return model
    place = min(view.place, len(rows) - 1)
    if view.selected in rows:
        place = rows.index(view.selected)
    first = min(view.first, place, max(0, len(rows) - model.body_height))
    first = max(first, place - model.body_height + 1)
    return _with_view(model, selected=rows[place], place=place, first=first)


_Action = Callable[[Model], Outcome]


def _only(change: Callable[[Model], Model]) -> _Action:
    return lambda model: (change(model), ())


_KEYS: dict[str, _Action] = {
    "q": lambda model: (model, (Leave(),)),
    "up": _only(lambda model: _move(model, -1)),
    "down": _only(lambda model: _move(model, 1)),
    "pageup": _only(lambda model: _move(model, -model.body_height)),
    "pagedown": _only(lambda model: _move(model, model.body_height)),
    "home": _only(lambda model: _move(model, -len(model.names))),
    "end": _only(lambda model: _move(model, len(model.names))),
    "enter": _open,
    "escape": _go_back,
    "backspace": _go_back,
    "left": _only(lambda model: _sort_beside(model, -1)),
    "right": _only(lambda model: _sort_beside(model, 1)),
    "<": _only(lambda model: _sort_beside(model, -1)),
    ">": _only(lambda model: _sort_beside(model, 1)),
    "r": _only(lambda model: _with_view(model, is_descending=not model.view.is_descending)),
    "/": _only(lambda model: replace(model, is_finding=True)),
    "k": _ask_to_end,
    "p": _only(lambda model: replace(model, is_paused=not model.is_paused)),
    "?": _only(lambda model: replace(model, is_help=True)),
    "h": _only(lambda model: replace(model, is_help=True)),
}
