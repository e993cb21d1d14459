"""The header of the PROXY protocol, versions 1 and 2: whose connection a proxy has made.

Owns the form of a header, and the variables that a program gets of one. Must not know who is
believed, nor where bytes come from. The same rules stand in native/proxy.c, with their reasons, and
a test holds the two against each other.
"""

import enum
import socket
import struct
from collections.abc import Iterator

from socketd.dataclass import dataclass
from socketd.programs.peer import Peer, unmap_packed

MOST_BYTES = 8192
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
VARIABLES = (
    "UNIQUE_ID",
    "SSL_TLS_SNI_SERVERNAME",
    "SSL_PROTOCOL",
    "SSL_CIPHER",
    "SSL_PEER_CERT_CN",
)
_MOST_VALUE = 255
_MOST_LINE = 107
_LINE = b"PROXY "
_FAMILIES: dict[bytes, int] = {b"TCP4": socket.AF_INET, b"TCP6": socket.AF_INET6}
_MOST_ADDRESS = 63
_HEAD = struct.Struct("!12sBBH")
_LOCAL = 0x20
_PROXY = 0x21
_OF_NOBODY = 0x00
_TCP4 = 0x11
_TCP6 = 0x21
_UNIX = 0x31
_ENDS = {_TCP4: struct.Struct("!4s4sHH"), _TCP6: struct.Struct("!16s16sHH")}
_SIZES = {_OF_NOBODY: 0, _TCP4: 12, _TCP6: 36, _UNIX: 216}
_VALUE = struct.Struct("!BH")
_AUTHORITY = 0x02
_CRC32C = 0x03
_SUM_SIZE = 4
_UNIQUE_ID = 0x05
_SSL = 0x20
_SSL_HEAD = struct.Struct("!BI")
_SSL_VERSION = 0x21
_SSL_CN = 0x22
_SSL_CIPHER = 0x23
_SSL_IS_TLS = 0x01
_SSL_HAS_CERTIFICATE = 0x02 | 0x04
_POLYNOMIAL = 0x82F63B78


class Verdict(enum.Enum):
    """What the first bytes of a connection are: a header's beginning, or none."""

    MORE = enum.auto()
    WRONG = enum.auto()


@dataclass(frozen=True, slots=True)
class Header:
    """A whole header, of `size` bytes.

    Without `source` it is about no other connection than the one that it came by.
    """

    size: int
    source: Peer | None
    destination: Peer | None
    variables: dict[str, str]


def parse(content: bytes) -> Header | Verdict:
    """Return the header that a connection begins with, given as many bytes as have come."""
    if not content:
        return Verdict.MORE
    try:
        return _parse_block(content) if content[:1] == SIGNATURE[:1] else _parse_line(content)
    except ValueError:
        return Verdict.WRONG


def checksum(content: bytes) -> int:
    """Return the CRC32C of some bytes."""
    total = 0xFFFFFFFF
    for byte in content:
        total ^= byte
        for _ in range(8):
            total = total >> 1 ^ (_POLYNOMIAL if total & 1 else 0)
    return total ^ 0xFFFFFFFF


def _parse_line(content: bytes) -> Header | Verdict:
    if not _LINE.startswith(content[: len(_LINE)]):
        raise ValueError
    seen = content[:_MOST_LINE]
    line, end, rest = seen.partition(b"\r")
    if b"\n" in line:
        raise ValueError
    if len(content) <= len(_LINE) or not rest:
        if len(seen) == _MOST_LINE:
            raise ValueError
        return Verdict.MORE
    if rest[:1] != b"\n":
        raise ValueError
    size = len(line) + len(end) + 1
    kind, _, words = line[len(_LINE) :].partition(b" ")
    if kind == b"UNKNOWN":
        return Header(size, None, None, {})
    if kind not in _FAMILIES:
        raise ValueError
    family = _FAMILIES[kind]
    source, destination, source_port, port = words.split(b" ")
    return Header(
        size,
        unmap_packed(family, _address(family, source), _port(source_port)),
        unmap_packed(family, _address(family, destination), _port(port)),
        {},
    )


def _address(family: int, word: bytes) -> bytes:
    if len(word) > _MOST_ADDRESS:
        raise ValueError
    try:
        return socket.inet_pton(family, word.decode("ascii"))
    except OSError:
        raise ValueError from None


def _port(word: bytes) -> int:
    if not word.isdigit() or len(word) > len("65535") or (word[:1] == b"0" and len(word) > 1):
        raise ValueError
    if (number := int(word)) > 0xFFFF:
        raise ValueError
    return number


def _parse_block(content: bytes) -> Header | Verdict:
    if not SIGNATURE.startswith(content[: len(SIGNATURE)]):
        raise ValueError
    command, family = content[12:13], content[13:14]
    if command and command[0] not in (_LOCAL, _PROXY):
        raise ValueError
    is_proxied = bool(command) and command[0] == _PROXY
    if is_proxied and family and family[0] not in _SIZES:
        raise ValueError
    if len(content) < _HEAD.size:
        return Verdict.MORE
    *_, length = _HEAD.unpack_from(content)
    addresses_size = _SIZES[family[0]] if is_proxied else 0
    size = _HEAD.size + length
    if length < addresses_size or size > MOST_BYTES:
        raise ValueError
    if len(content) < size:
        return Verdict.MORE
    if not is_proxied or family[0] == _OF_NOBODY:
        return Header(size, None, None, {})
    source, destination = _ends(family[0], content)
    return Header(size, source, destination, _values(content[:size], _HEAD.size + addresses_size))


def _ends(family: int, content: bytes) -> tuple[Peer | None, Peer | None]:
    if family == _UNIX:
        return None, None
    source, destination, source_port, port = _ENDS[family].unpack_from(content, _HEAD.size)
    kind = socket.AF_INET if family == _TCP4 else socket.AF_INET6
    return unmap_packed(kind, source, source_port), unmap_packed(kind, destination, port)


def _each(content: bytes, at: int) -> Iterator[tuple[int, bytes, int]]:
    """Give each value with its type, and where it begins."""
    while at < len(content):
        if len(content) - at < _VALUE.size:
            raise ValueError
        kind, length = _VALUE.unpack_from(content, at)
        at += _VALUE.size
        if length > len(content) - at:
            raise ValueError
        yield kind, content[at : at + length], at
        at += length


def _values(whole: bytes, at: int) -> dict[str, str]:
    found: dict[str, str] = {}
    has_sum = False
    for kind, value, begin in _each(whole, at):
        if kind == _AUTHORITY:
            _keep(found, "SSL_TLS_SNI_SERVERNAME", value)
        elif kind == _UNIQUE_ID:
            _keep(found, "UNIQUE_ID", value)
        elif kind == _SSL:
            _read_ssl(found, value)
        elif kind == _CRC32C:
            if has_sum or len(value) != _SUM_SIZE:
                raise ValueError
            has_sum = True
            blank = whole[:begin] + bytes(_SUM_SIZE) + whole[begin + _SUM_SIZE :]
            if checksum(blank) != int.from_bytes(value, "big"):
                raise ValueError
    return found


def _read_ssl(found: dict[str, str], value: bytes) -> None:
    if len(value) < _SSL_HEAD.size:
        raise ValueError
    client, verify = _SSL_HEAD.unpack_from(value)
    is_verified = client & _SSL_HAS_CERTIFICATE and verify == 0
    for kind, inner, _ in _each(value, _SSL_HEAD.size):
        if not client & _SSL_IS_TLS:
            continue
        if kind == _SSL_VERSION:
            _keep(found, "SSL_PROTOCOL", inner)
        elif kind == _SSL_CIPHER:
            _keep(found, "SSL_CIPHER", inner)
        elif kind == _SSL_CN and is_verified:
            _keep(found, "SSL_PEER_CERT_CN", inner)


def _keep(found: dict[str, str], name: str, value: bytes) -> None:
    is_printable = all(byte >= ord(" ") and byte != 0x7F for byte in value)
    if name not in found and 0 < len(value) <= _MOST_VALUE and is_printable:
        found[name] = value.decode(errors="surrogateescape")
