"""The values of a document as structures of msgspec, for whoever has to be quick about many.

Owns how a structure is made from the type of a value. Must not know what a document says.

msgspec fills structures of its own in half the time that it takes for our dataclasses, whose
constructors are Python, and writes them in half the time, too. The types of the document are
dataclasses all the same: what a server says of its past is among them, and that is kept by servers
which never import msgspec.
"""

import dataclasses
import functools
import operator
import types
import typing
from typing import Any, TypeVar, cast

import msgspec

_Value = TypeVar("_Value")


def structure_of(kind: type[_Value]) -> type[_Value]:
    """Return a structure with the same names, in the same order, for a dataclass."""
    anything: Any = kind
    return cast("type[_Value]", _structure_of(anything))


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
    # It is used once and thrown away: nothing in it refers to itself.
    return msgspec.defstruct(kind.__name__, fields, frozen=True, gc=False)
