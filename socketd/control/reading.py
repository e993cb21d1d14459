"""A state as somebody reads it who has to be quick about it.

Owns the structures that a line is read into. Must not know what a document says: they are made from
its types.

msgspec fills structures of its own in half the time that it takes for our dataclasses, whose
constructors are Python. Those of a master are dataclasses all the same: it makes documents without
msgspec, which is imported when somebody asks for one.
"""

import dataclasses
import functools
import operator
import types
import typing
from typing import Any, cast

import msgspec

from socketd.control.document import State


def read_state(line: bytes) -> State:
    """Return the state in a line. Raises ValueError for what is none."""
    return cast("State", _decoder().decode(line))


@functools.cache
def _decoder() -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(_structure_of(State))


@functools.cache
def _structure_of(kind: Any) -> Any:  # noqa: ANN401  a type of any form
    """Return a type with the same names for a dataclass, or for what contains one."""
    parts = typing.get_args(kind)
    if parts:
        inner = tuple(map(_structure_of, parts))
        if isinstance(kind, types.UnionType):
            return functools.reduce(operator.or_, inner)
        origin: Any = typing.get_origin(kind)
        return origin[inner]
    if not hasattr(kind, "__dataclass_fields__"):
        return kind
    hints, known = typing.get_type_hints(kind), kind.__dataclass_fields__
    fields: list[Any] = [(name, _structure_of(one)) for name, one in hints.items()]
    # A key with a default is one that an older server does not tell.
    defaults = {name: known[name].default for name in hints}
    fields = [
        one if defaults[one[0]] is dataclasses.MISSING else (*one, defaults[one[0]])
        for one in fields
    ]
    # It is read once and thrown away: nothing in it refers to itself.
    return msgspec.defstruct(kind.__name__, fields, frozen=True, gc=False)


_decoder()  # made ahead of the connection where this is imported ahead
