"""The dashboard of contrib/monitoring, by the types that Grafana's makers publish for Python."""

import json
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest

MISSING = "grafana-foundation-sdk is not installed"
encoder = pytest.importorskip("grafana_foundation_sdk.cog.encoder", reason=MISSING)
plugins = pytest.importorskip("grafana_foundation_sdk.cog.plugins", reason=MISSING)
models = pytest.importorskip("grafana_foundation_sdk.models.dashboard", reason=MISSING)

FILE = Path(__file__).parents[2] / "contrib" / "monitoring" / "dashboard.json"
# Keys of the data source, which has them beside its query for annotations, without a type.
OF_PROMETHEUS = {"titleFormat", "textFormat"}


def faults(dashboard: dict[str, object]) -> list[str]:
    """Return what Grafana's types do not know of it, and what has another type there."""
    plugins.register_default_plugins()
    return list(wrong(dashboard, models.Dashboard, ""))


def unknown(ours: object, theirs: object, place: str) -> Iterator[str]:
    """Yield what is lost on the way through their types, which keep only what they know."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            if key in theirs:
                yield from unknown(value, theirs[key], f"{place}.{key}")
            elif key not in OF_PROMETHEUS:
                yield f"{place}.{key} is not known"
    elif isinstance(ours, list) and isinstance(theirs, list):
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from unknown(one, other, f"{place}[{number}]")
    elif ours != theirs:
        yield f"{place} became {theirs!r}"


def wrong(value: object, kind: Any, place: str) -> Iterator[str]:  # noqa: ANN401  # any annotation
    """Yield the places of values that are not of the type that is written there."""
    if hasattr(kind, "from_json") and isinstance(value, dict):
        typed = kind.from_json(value)
        yield from unknown(value, json.loads(json.dumps(typed, cls=encoder.JSONEncoder)), place)
        yield from wrong(typed, kind, place)
    elif hasattr(value, "to_json") and (kind is object or isinstance(value, kind)):
        # Which options a panel has says its own type, and not that of all panels.
        for name, one in get_type_hints(type(value)).items():
            yield from wrong(getattr(value, name), one, f"{place}.{name}")
    elif get_origin(kind) is Union:
        kinds = [one for one in get_args(kind) if one is not NoneType or value is None]
        yield from min((list(wrong(value, one, place)) for one in kinds), key=len)
    elif get_origin(kind) is list and isinstance(value, list):
        for number, one in enumerate(value):
            yield from wrong(one, get_args(kind)[0], f"{place}[{number}]")
    elif get_origin(kind) is dict and isinstance(value, dict):
        for key, one in value.items():
            yield from wrong(one, get_args(kind)[1], f"{place}.{key}")
    elif not is_of(value, kind):
        yield f"{place} is {value!r}, and no {kind}"


def is_of(value: object, kind: Any) -> bool:  # noqa: ANN401  # any annotation
    """Return whether it is of a simple type: for JSON a bool is no number, and 1 may be 1.0."""
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return value in [one.value for one in kind]
    if isinstance(value, bool) and kind is not object:
        return kind is bool
    return isinstance(value, (int, float) if kind is float else get_origin(kind) or kind)


def test_grafana_knows_each_key_and_value() -> None:
    """No key is lost on the way through its types, and each value is of its type there."""
    assert faults(json.loads(FILE.read_text())) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"legendary": 1}, "is not known"),
        ({"title": 1}, "title is 1"),
        ({"gridPos": {"x": "0", "y": 6, "w": 12, "h": 8}}, "x is '0'"),
        ({"fieldConfig": {"defaults": {"custom": {"showPoints": "rarely"}}}}, "is 'rarely'"),
        ({"options": {"legend": {"displayMode": "tree"}}}, "is 'tree'"),
        ({"transformations": [{"id": 1, "options": {}}]}, "id_val is 1"),
    ],
)
def test_mistake_is_found(change: dict[str, Any], said: str) -> None:
    """Panels are looked into, and what only one kind of them has."""
    dashboard = json.loads(FILE.read_text())
    panel = next(one for one in dashboard["panels"] if one["type"] == "timeseries")
    panel |= change

    assert said in "\n".join(faults(dashboard))
