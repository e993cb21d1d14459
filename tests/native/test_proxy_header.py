"""The header of the PROXY protocol in C against Python: one answer, whatever comes."""

import ctypes
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.proxyheaders import RIGHT, WRONG, block, ends, hostile, value
from socketd.admission.proxy_header import MOST_BYTES, VARIABLES, Header, Verdict, parse
from socketd.programs.peer import Peer

from .evaluate import evaluate
from .shims import load

_OUT_SIZE = 4096
_SHIM = """
#include "proxy.h"
#include <string.h>
int ask(const unsigned char *, size_t, char *, size_t *);
/* The verdict; `out` gets family, port and bytes of both ends, then variables with their NULs. */
int ask(const unsigned char *bytes, size_t count, char *out, size_t *size)
{
    static struct proxy_header header;
    enum proxy_verdict verdict = proxy_parse(&header, bytes, count);
    const struct address *found[] = {&header.source, &header.destination};
    char *at = out;
    if (verdict != PROXY_WHOLE)
        return verdict;
    for (int i = 0; header.has_ends && i < 2; i++) {
        *at++ = (char)found[i]->family;
        memcpy(at, &found[i]->port, 2);
        memcpy(at + 2, found[i]->bytes, 16);
        at += 18;
    }
    for (int i = 0; i < PROXY_VARIABLES; i++) {
        size_t length = strlen(header.variables[i]);
        memcpy(at, header.variables[i], length + 1);
        at += length + 1;
    }
    *size = (size_t)(at - out);
    return PROXY_WRONG + 1 + (int)header.size;
}
"""

Ask = Callable[[bytes], object]


def form(header: Header) -> tuple[int, bytes]:
    """Return a header as the code in C tells it."""

    def end(peer: Peer | None) -> bytes:
        if peer is None:
            return b""
        port = peer.port.to_bytes(2, "little")
        return bytes((peer.family,)) + port + peer.address.ljust(16, b"\0")

    texts = (
        f"{name}={header.variables[name]}" if name in header.variables else "" for name in VARIABLES
    )
    variables = b"".join(text.encode(errors="surrogateescape") + b"\0" for text in texts)
    return header.size, end(header.source) + end(header.destination) + variables


@pytest.fixture(scope="module")
def ask(compiler: str, tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Return what asks the code in C: for MORE, WRONG, or the size and content of a header."""
    folder = tmp_path_factory.mktemp("proxy")
    function = load(compiler, folder, _SHIM, "proxy.c").ask
    more, _, wrong = evaluate(
        compiler, folder, "proxy.h", ["PROXY_MORE", "PROXY_WHOLE", "PROXY_WRONG"]
    )

    def call(content: bytes) -> object:
        out, size = ctypes.create_string_buffer(_OUT_SIZE), ctypes.c_size_t()
        found = function(content, ctypes.c_size_t(len(content)), out, ctypes.byref(size))
        if found in (more, wrong):
            return Verdict.MORE if found == more else Verdict.WRONG
        return found - wrong - 1, out.raw[: size.value]

    return call


def check(ask: Ask, content: bytes) -> None:
    """Compare both answers."""
    expected = parse(content)
    assert ask(content) == (form(expected) if isinstance(expected, Header) else expected), content


def test_bounds_are_the_same(compiler: str, tmp_path: Path) -> None:
    """How long a header may be, and how many variables there are."""
    expected = {"PROXY_MOST": MOST_BYTES, "PROXY_VARIABLES": len(VARIABLES)}

    assert evaluate(compiler, tmp_path, "proxy.h", list(expected)) == list(expected.values())


def test_both_sides_read_known_headers_alike(ask: Ask) -> None:
    """And each of their beginnings."""
    for content in (*RIGHT.values(), *WRONG.values()):
        for count in range(min(len(content), 400)):
            check(ask, content[:count])
        check(ask, content)
        check(ask, content + b"behind")


def test_both_sides_read_hostile_headers_alike(ask: Ask) -> None:
    """Ten thousand that are broken somewhere."""
    for content in hostile(10_000):
        check(ask, content)


_VALUES = st.lists(
    st.builds(
        value,
        st.sampled_from([0x01, 0x02, 0x03, 0x04, 0x05, 0x20, 0x21, 0x22, 0x23, 0x30, 0xEA]),
        st.binary(max_size=20),
        st.none() | st.integers(0, 30),
    ),
    max_size=5,
).map(b"".join)


@given(
    _VALUES,
    st.sampled_from([0x20, 0x21, 0x22, 0x31]),
    st.sampled_from([0x00, 0x11, 0x12, 0x21, 0x31, 0x01]),
    st.none() | st.integers(0, 400),
    st.binary(max_size=5),
)
def test_both_sides_read_any_block_alike(
    ask: Ask, values: bytes, command: int, family: int, length: int | None, behind: bytes
) -> None:
    """Whatever stands where values are to be."""
    for content in (ends(), ends("::1", "::ffff:1.2.3.4"), bytes(216), b""):
        check(ask, block(content + values, command, family, length) + behind)


_WORDS = st.sampled_from(
    [
        *(b"PROXY", b"TCP4", b"TCP6", b"UNKNOWN", b"1.2.3.4", b"::1", b"::ffff:1.2.3.4", b"1"),
        *(b"0", b"65535", b"65536", b"00", b"", b"\r", b"\n", b"\xff", b"1" * 70),
    ]
)


@given(st.lists(_WORDS, max_size=6), st.sampled_from([b"\r\n", b"\n", b"\r", b"", b"\r\n\r\n"]))
def test_both_sides_read_any_line_alike(ask: Ask, words: list[bytes], end: bytes) -> None:
    """Words of lines in any order, and ends of lines that are none."""
    check(ask, b"PROXY " + b" ".join(words) + end)
