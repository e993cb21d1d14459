"""A state as somebody reads it who has to be quick about it.

Owns the way from a line to a state. Must not know what a document says.
"""

import functools

import msgspec

from socketd.control.document import State
from socketd.control.structures import structure_of


def read_state(line: bytes) -> State:
    """Return the state in a line. Raises ValueError for what is none."""
    return _decoder().decode(line)


@functools.cache
def _decoder() -> msgspec.json.Decoder[State]:
    return msgspec.json.Decoder(structure_of(State))


_decoder()  # made ahead of the connection where this is imported ahead
