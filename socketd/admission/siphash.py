"""SipHash-2-4: a number for some bytes that nobody can choose who does not know the key.

Owns the function, as rates_hash() of native/rates.c does (a test holds the two against each other).
Must not know what the number is for.
"""

from collections.abc import Sequence

_MASK = 2**64 - 1
_CONSTANTS = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)


def siphash(key: Sequence[int], content: bytes) -> int:
    """Return the number of some bytes, below 2**64."""
    v = [key[place % 2] ^ constant for place, constant in enumerate(_CONSTANTS)]
    whole = len(content) // 8 * 8
    words = [int.from_bytes(content[at : at + 8], "little") for at in range(0, whole, 8)]
    last = int.from_bytes(content[whole:], "little") | (len(content) & 0xFF) << 56
    for word in (*words, last):
        v[3] ^= word
        _stir(v, 2)
        v[0] ^= word
    v[2] ^= 0xFF
    _stir(v, 4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def _stir(v: list[int], rounds: int) -> None:
    for _ in range(rounds):
        _mix(v, 0, 1, 13)
        v[0] = _rotate(v[0], 32)
        _mix(v, 2, 3, 16)
        _mix(v, 0, 3, 21)
        _mix(v, 2, 1, 17)
        v[2] = _rotate(v[2], 32)


def _mix(v: list[int], to: int, other: int, bits: int) -> None:
    v[to] = (v[to] + v[other]) & _MASK
    v[other] = _rotate(v[other], bits) ^ v[to]


def _rotate(word: int, bits: int) -> int:
    return (word << bits | word >> (64 - bits)) & _MASK
