"""A rule about clients, as text: whom it is for, and variables that their program gets.

Owns the form of a rule. Must not know whether it allows or denies, nor what follows.

    192.0.2.0/24            addresses; a single one without a length
    2001:db8::/32
    uid:1000  gid:www-data  the user or group of a client on a UNIX socket
    all                     everybody
    192.0.2.7 TENANT=a      variables stand behind it, without blanks in them

A proxy is named in the same way, without variables; `unix` is whoever comes by a UNIX socket.

An IPv4 address that is mapped into IPv6 is the IPv4 address, and `::/0` has no IPv4 address in it.
"""

import socket
from collections.abc import Callable

from socketd.dataclass import dataclass
from socketd.errors import SystemFailureError, UsageError
from socketd.system.accounts import find_group, find_user

MOST_VARIABLES = 16
MOST_VARIABLE_BYTES = 2048
_BITS: dict[int, int] = {socket.AF_INET: 32, socket.AF_INET6: 128}
_MAPPED_PREFIX = bytes(10) + b"\xff\xff"
_MAPPED_BITS = 96
_FORMS = "an address, PREFIX/LENGTH, uid:USER, gid:GROUP or all"
_PROXY_FORMS = "an address, PREFIX/LENGTH, uid:USER, gid:GROUP or unix"


@dataclass(frozen=True, slots=True)
class AddressRange:
    """Addresses of one family that begin with the same `length` bits."""

    family: int
    first: int
    length: int

    @property
    def last(self) -> int:
        """Return the highest of them."""
        return self.first + (1 << (_BITS[self.family] - self.length)) - 1


@dataclass(frozen=True, slots=True)
class UserId:
    """A user of this machine."""

    number: int


@dataclass(frozen=True, slots=True)
class GroupId:
    """A group of this machine, the one that a client has as its own."""

    number: int


@dataclass(frozen=True, slots=True)
class UnixClients:
    """Whoever comes by a UNIX socket, and is neither of a user nor of a group with a rule."""


@dataclass(frozen=True, slots=True)
class Everybody:
    """Whoever no other rule is for."""


Whom = AddressRange | UserId | GroupId | UnixClients | Everybody


@dataclass(frozen=True, slots=True)
class PeerRule:
    """A rule: whom it is for, and variables, each as NAME=VALUE."""

    whom: Whom
    variables: tuple[str, ...] = ()


def parse_rule(text: str) -> PeerRule:
    """Return the rule of a text. Raises UsageError, which says what is wrong with it."""
    words = text.split()
    if not words:
        raise UsageError(f"it is empty; give {_FORMS}")
    for variable in words[1:]:
        name, sign, _ = variable.partition("=")
        if not sign or not name or "\0" in variable:
            raise UsageError(f"{variable!r} is no variable; give NAME=VALUE")
    size = sum(len(variable.encode(errors="surrogateescape")) + 1 for variable in words[1:])
    if len(words) - 1 > MOST_VARIABLES or size >= MOST_VARIABLE_BYTES:
        raise UsageError(
            f"it sets more than {MOST_VARIABLES} variables or {MOST_VARIABLE_BYTES} bytes of them"
        )
    return PeerRule(_parse_whom(words[0]), tuple(words[1:]))


def parse_proxy(text: str) -> PeerRule:
    """Return the rule that lets a proxy in. Raises UsageError."""
    return PeerRule(UnixClients() if text == "unix" else _parse_one(text, _PROXY_FORMS))


def _parse_whom(word: str) -> Whom:
    return Everybody() if word == "all" else _parse_one(word, _FORMS)


def _parse_one(word: str, forms: str) -> Whom:
    kind, sign, name = word.partition(":")
    if sign and kind == "uid":
        return UserId(_number(lambda: find_user(name)[0]))
    if sign and kind == "gid":
        return GroupId(_number(lambda: find_group(name)))
    return parse_range(word, forms)


def parse_range(word: str, forms: str = _FORMS) -> AddressRange:
    """Return the addresses that a text names. Raises UsageError."""
    host, slash, digits = word.partition("/")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        packed = socket.inet_pton(family, host)
    except (OSError, ValueError):
        raise UsageError(f"{word!r} is not {forms}") from None
    bits = _BITS[family]
    if slash and not (digits.isascii() and digits.isdecimal() and len(digits) <= len("128")):
        raise UsageError(f"{word!r} has no length behind its slash; give 0 to {bits}")
    length = int(digits) if slash else bits
    if length > bits:
        raise UsageError(f"{word!r} is too long; give 0 to {bits} behind the slash")
    if family == socket.AF_INET6 and packed.startswith(_MAPPED_PREFIX) and length >= _MAPPED_BITS:
        family, packed, length = socket.AF_INET, packed[12:], length - _MAPPED_BITS
        bits = _BITS[family]
    first = int.from_bytes(packed, "big")
    whole = first >> (bits - length) << (bits - length)
    if whole != first:
        network = socket.inet_ntop(family, whole.to_bytes(bits // 8, "big"))
        raise UsageError(
            f"{word!r} has bits behind its first {length}; give {network}/{length} or the address "
            "alone"
        )
    return AddressRange(family, first, length)


def _number(find: Callable[[], int]) -> int:
    try:
        return find()
    except SystemFailureError as error:
        raise UsageError(str(error)) from None
