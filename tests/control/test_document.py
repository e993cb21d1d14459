"""The document of the control socket: the example, the page and the types are the same."""

import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path

import msgspec

from socketd.control.document import FORMAT, Connections, Histogram, State, WorkerList

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "state.json"
# They are the same in each place, or their keys are words that others own.
OPEN = {Histogram, dict}


def keys_of(kind: object) -> Iterator[str]:
    """Yield the name of each key of a type, and of all that it contains."""
    for part in typing.get_args(kind):
        yield from keys_of(part)
    if isinstance(kind, type) and hasattr(kind, "__dataclass_fields__"):
        for name, inner in typing.get_type_hints(kind).items():
            yield name
            if inner not in OPEN:
                yield from keys_of(inner)


def paths_of(value: object, kind: object) -> Iterator[tuple[object, object]]:
    """Yield each object of a document with the type that it has to be of."""
    if isinstance(kind, types.UnionType):
        kind = next(part for part in typing.get_args(kind) if part is not types.NoneType)
    if isinstance(value, list):
        for one in value:
            yield from paths_of(one, typing.get_args(kind)[0])
    elif isinstance(value, dict) and hasattr(kind, "__dataclass_fields__"):
        yield value, kind
        assert isinstance(kind, type)
        for name, inner in typing.get_type_hints(kind).items():
            yield from paths_of(value.get(name), inner)


def test_example_has_every_key_and_no_other() -> None:
    """docs/examples/state.json is a state, with all keys of each object and none besides."""
    content = EXAMPLE.read_bytes()
    msgspec.json.decode(content, type=State, strict=True)

    found = list(paths_of(msgspec.json.decode(content), State))
    assert found[0][0] == msgspec.json.decode(content)
    for value, kind in found:
        assert isinstance(value, dict)
        assert isinstance(kind, type)
        assert set(value) == set(typing.get_type_hints(kind)), kind


def test_example_is_of_the_present_format() -> None:
    """The example, and so the page, is of the format that a master writes."""
    assert msgspec.json.decode(EXAMPLE.read_bytes(), type=State).format == FORMAT


def test_counts_of_the_example_agree() -> None:
    """In the example, as in any state, accepted is closed and busy; histograms are cumulative."""
    state = msgspec.json.decode(EXAMPLE.read_bytes(), type=State)
    for one in (listener for service in state.services for listener in service.listeners):
        busy = one.workers.busy + sum(favourite.busy for favourite in one.favourites)
        assert one.connections.accepted == sum(one.connections.closed.values()) + busy
        assert one.connections.closed["limit"] == sum(one.connections.ended.values())
        for histogram in (one.connections.duration_seconds, one.connections.max_rss_bytes):
            assert histogram.counts == sorted(histogram.counts)
            assert len(histogram.counts) == len(histogram.bounds) + 1
            assert histogram.counts[-1] == sum(one.connections.closed.values())


def test_page_explains_every_key() -> None:
    """docs/control.md has a row for each key of the state and of a list of workers."""
    rows = re.findall(r"^\| (`.+?) \|", (ROOT / "docs" / "control.md").read_text(), re.MULTILINE)
    explained = {
        part
        for row in rows
        for name in re.findall(r"`([a-z_.]+)`", row)
        for part in name.split(".")
    }
    wanted = {*keys_of(State), *keys_of(WorkerList), *keys_of(Connections)}

    assert wanted <= explained
