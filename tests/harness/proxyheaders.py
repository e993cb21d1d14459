"""Headers of the PROXY protocol, right ones and wrong ones.

Owns how a header is written, apart from the code that reads one. Must not know who reads it.
"""

import random
import socket
import struct
from collections.abc import Iterator

from socketd.admission.proxy_header import SIGNATURE, checksum

LINE = b"PROXY TCP4 192.0.2.1 198.51.100.2 1234 443\r\n"
LINE6 = b"PROXY TCP6 2001:db8::1 2001:db8::2 1234 443\r\n"
UNKNOWN = b"PROXY UNKNOWN\r\n"
TCP4, TCP6, UNIX = 0x11, 0x21, 0x31
AUTHORITY, CRC32C, NOOP, UNIQUE_ID, SSL = 0x02, 0x03, 0x04, 0x05, 0x20


def value(kind: int, content: bytes, length: int | None = None) -> bytes:
    """Return a value with its type and length."""
    return struct.pack("!BH", kind, len(content) if length is None else length) + content


def ssl(*inner: bytes, client: int = 7, verify: int = 0) -> bytes:
    """Return what a header says of a TLS connection."""
    return value(SSL, struct.pack("!BI", client, verify) + b"".join(inner))


def ends(source: str = "192.0.2.1", destination: str = "198.51.100.2") -> bytes:
    """Return the addresses of both ends and the ports 1234 and 443."""
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    addresses = socket.inet_pton(family, source) + socket.inet_pton(family, destination)
    return addresses + struct.pack("!HH", 1234, 443)


def block(
    content: bytes = b"", command: int = 0x21, family: int = TCP4, length: int | None = None
) -> bytes:
    """Return a header of version 2."""
    size = len(content) if length is None else length
    return SIGNATURE + struct.pack("!BBH", command, family, size) + content


def summed(content: bytes, family: int = TCP4, change: int = 0) -> bytes:
    """Return a header of version 2 with a checksum behind its content."""
    blank = block(content + value(CRC32C, bytes(4)), family=family)
    return blank[:-4] + (checksum(blank) ^ change).to_bytes(4, "big")


RIGHT = {
    "line": LINE,
    "line6": LINE6,
    "mapped": b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.2 1 2\r\n",
    "unknown": UNKNOWN,
    "unknown_long": b"PROXY UNKNOWN whatever \0 it says\r\n",
    "longest": b"PROXY TCP6 " + b"ffff:" * 7 + b"ffff " + b"ffff:" * 7 + b"ffff 65535 65535\r\n",
    "least": b"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n",
    "local": block(command=0x20, family=0),
    "local_long": block(b"x" * 300, command=0x20, family=0xFF),
    "nobody": block(family=0),
    "nobody_long": block(b"rubbish", family=0),
    "tcp4": block(ends()),
    "tcp6": block(ends("2001:db8::1", "2001:db8::2"), family=TCP6),
    "tcp6_mapped": block(ends("::ffff:192.0.2.1", "2001:db8::2"), family=TCP6),
    "unix": block(bytes(216), family=UNIX),
    "unix_values": block(bytes(216) + value(UNIQUE_ID, b"a"), family=UNIX),
    "values": block(
        ends()
        + value(AUTHORITY, b"www.example.org")
        + value(NOOP, b"padding")
        + value(0xEA, b"of a cloud")
        + value(UNIQUE_ID, b"id-1")
        + ssl(
            value(0x21, b"TLSv1.3"),
            value(0x23, b"TLS_AES"),
            value(0x22, b"J\xc3\xb6rg"),
            value(0x28, b"x"),
        )
    ),
    "unverified": block(ends() + ssl(value(0x22, b"admin"), verify=1)),
    "no_certificate": block(ends() + ssl(value(0x22, b"admin"), client=1)),
    "no_tls": block(ends() + ssl(value(0x21, b"TLSv1.3"), client=0)),
    "control": block(ends() + value(AUTHORITY, b"a\0b") + value(UNIQUE_ID, b"\x1b[2J")),
    "long_value": block(ends() + value(UNIQUE_ID, b"x" * 256)),
    "largest_value": block(ends() + value(UNIQUE_ID, b"x" * 255)),
    "twice": block(ends() + value(UNIQUE_ID, b"first") + value(UNIQUE_ID, b"second")),
    "empty_value": block(ends() + value(UNIQUE_ID, b"")),
    "sum": summed(ends() + value(UNIQUE_ID, b"id-1")),
    "largest": block(ends() + value(NOOP, bytes(8192 - 16 - 12 - 3))),
}

WRONG = {
    "http": b"GET / HTTP/1.1\r\n",
    "lower": b"proxy TCP4 192.0.2.1 198.51.100.2 1234 443\r\n",
    "feed": b"PROXY TCP4 192.0.2.1 198.51.100.2 1234 443\n",
    "feed_unknown": b"PROXY UNKNOWN\n",
    "feed_inside": b"PROXY UNKNOWN\nx\r\n",
    "return": b"PROXY TCP4 192.0.2.1 198.51.100.2 1234 443\rx",
    "kind": b"PROXY TCP5 192.0.2.1 198.51.100.2 1234 443\r\n",
    "udp": b"PROXY UDP4 192.0.2.1 198.51.100.2 1234 443\r\n",
    "kind_long": b"PROXY UNKNOWNX\r\n",
    "blanks": b"PROXY TCP4  192.0.2.1 198.51.100.2 1234 443\r\n",
    "blank_end": b"PROXY TCP4 192.0.2.1 198.51.100.2 1234 443 \r\n",
    "tab": b"PROXY TCP4\t192.0.2.1 198.51.100.2 1234 443\r\n",
    "few": b"PROXY TCP4 192.0.2.1 198.51.100.2 1234\r\n",
    "empty": b"PROXY \r\n",
    "zero": b"PROXY TCP4 192.0.02.1 198.51.100.2 1234 443\r\n",
    "part": b"PROXY TCP4 192.0.2.256 198.51.100.2 1234 443\r\n",
    "three": b"PROXY TCP4 192.0.2 198.51.100.2 1234 443\r\n",
    "nul": b"PROXY TCP4 192.0.2.1\0 198.51.100.2 1234 443\r\n",
    "family": b"PROXY TCP4 2001:db8::1 2001:db8::2 1234 443\r\n",
    "scope": b"PROXY TCP6 fe80::1%lo 2001:db8::2 1234 443\r\n",
    "port_zero": b"PROXY TCP4 192.0.2.1 198.51.100.2 01234 443\r\n",
    "port_high": b"PROXY TCP4 192.0.2.1 198.51.100.2 65536 443\r\n",
    "port_sign": b"PROXY TCP4 192.0.2.1 198.51.100.2 +1 443\r\n",
    "port_none": b"PROXY TCP4 192.0.2.1 198.51.100.2  443\r\n",
    "long": b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
    "endless": b"PROXY UNKNOWN " + b"x" * 93,
    "signature": b"\r\n\r\n\0\r\nQUIX\n",
    "version": block(ends(), command=0x11),
    "command": block(ends(), command=0x22),
    "datagram": block(ends(), family=0x12),
    "unspecified_stream": block(ends(), family=0x01),
    "no_protocol": block(ends(), family=0x10),
    "no_family": block(ends(), family=0x41),
    "short": block(ends()[:11]),
    "short6": block(ends(), family=TCP6),
    "too_large": block(length=8192 - 16 + 1),
    "value_over": block(ends() + value(UNIQUE_ID, b"abc", 4)),
    "value_half": block(ends() + b"\x05\0"),
    "value_behind": block(ends() + value(UNIQUE_ID, b"", 3)) + b"abc",
    "ssl_short": block(ends() + value(SSL, b"\7\0\0\0")),
    "ssl_over": block(ends() + ssl(value(0x21, b"TLS", 4))),
    "sum": summed(ends(), change=1),
    "sum_short": block(ends() + value(CRC32C, b"abc")),
    "sum_twice": summed(ends() + value(CRC32C, bytes(4))),
}


def hostile(count: int, seed: int = 1) -> Iterator[bytes]:
    """Give headers that are broken in some place, each always the same."""
    chance = random.Random(seed)
    right, wrong = list(RIGHT.values()), list(WRONG.values())
    for number in range(count):
        content = bytearray(chance.choice(right if number % 3 else wrong))
        for _ in range(chance.randrange(1, 4)):
            place = chance.randrange(len(content) or 1)
            match chance.randrange(5):
                case 0:
                    content[place : place + 1] = bytes((chance.randrange(256),))
                case 1:
                    del content[place : place + chance.randrange(1, 9)]
                case 2:
                    content[place:place] = chance.randbytes(chance.randrange(1, 9))
                case 3:
                    content[place : place + 1] = (
                        bytes((content[place] ^ 1 << chance.randrange(8),)) if content else b""
                    )
                case _:
                    del content[place:]
        yield bytes(content)
