"""A state as it is read: the values of the document, and as strictly."""

import typing

import msgspec
import pytest

from harness.controls import EXAMPLE, example
from socketd.control.document import State
from socketd.control.reading import read_state


def same(one: object, other: object) -> bool:
    """Tell whether two objects have the same values under the same names, all the way down."""
    if hasattr(one, "__dataclass_fields__"):
        return all(
            same(getattr(one, name), getattr(other, name))
            for name in typing.get_type_hints(type(one))
        )
    if isinstance(one, list):
        assert isinstance(other, list)
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def test_state_is_the_one_of_the_document() -> None:
    """Each value is where the document's type has it."""
    line = EXAMPLE.read_bytes()
    assert same(msgspec.json.decode(line, type=State), read_state(line))


def test_what_is_no_state_is_refused() -> None:
    """A key that is missing, or of another type, is an error; one that nobody knows is none."""
    document = example()
    document["news"] = document["services"][0]["news"] = 1
    read_state(msgspec.json.encode(document))
    document["services"][0]["listeners"][0]["workers"]["busy"] = "many"
    with pytest.raises(ValueError, match="busy"):
        read_state(msgspec.json.encode(document))
    del document["server"]["pid"]
    with pytest.raises(ValueError, match="pid"):
        read_state(msgspec.json.encode(document))
