"""Line ends: however a stream is cut into blocks, the translation is the same."""

import itertools
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from socketd.relay.crlf import FromCrlf, ToCrlf, Unchanged

TEXTS = st.lists(st.sampled_from([b"\r", b"\n", b"a", b"\0", b"\r\n", b"\xff"])).map(b"".join)
CUTS = st.lists(st.integers(0, 40))


def cut(text: bytes, cuts: Sequence[int]) -> list[bytes]:
    """Return the blocks of a text that is cut at some places."""
    places = sorted({0, len(text), *(place for place in cuts if place < len(text))})
    return [text[a:b] for a, b in itertools.pairwise(places)]


def translate(translation: Unchanged, blocks: Sequence[bytes]) -> bytes:
    """Return what becomes of a stream of blocks."""
    return b"".join([*(translation.feed(block) for block in blocks), translation.finish()])


@given(TEXTS, CUTS)
def test_towards_the_socket_each_lf_becomes_crlf(text: bytes, cuts: list[int]) -> None:
    """Any chunking gives the same as the whole, which has a CR before each LF, and no other."""
    assert translate(ToCrlf(), cut(text, cuts)) == text.replace(b"\n", b"\r\n")


@given(TEXTS, CUTS)
def test_towards_stdout_crlf_becomes_lf_and_a_lone_cr_stays(text: bytes, cuts: list[int]) -> None:
    """Any chunking gives the same as the whole, also where a block ends between CR and LF."""
    assert translate(FromCrlf(), cut(text, cuts)) == text.replace(b"\r\n", b"\n")


@given(TEXTS, CUTS, CUTS)
def test_lf_text_comes_back_as_it_was(text: bytes, first: list[int], second: list[int]) -> None:
    """What goes out with -c and comes in with -c is unchanged."""
    wire = translate(ToCrlf(), cut(text, first))

    assert translate(FromCrlf(), cut(wire, second)) == text


@given(TEXTS, CUTS)
def test_without_crlf_every_byte_stays(text: bytes, cuts: list[int]) -> None:
    """Without -c a connection is binary-safe."""
    assert translate(Unchanged(), cut(text, cuts)) == text


def test_cr_at_the_very_end_is_flushed() -> None:
    """A CR that waits for an LF comes out when the stream ends, once."""
    translation = FromCrlf()

    assert translation.feed(b"a\r") == b"a"
    assert translation.finish() == b"\r"
    assert translation.finish() == b""


def test_cr_before_crlf_stays() -> None:
    """Of CR CR LF only the last two are a line end, in one block or in three."""
    assert translate(FromCrlf(), [b"\r\r\n"]) == b"\r\n"
    assert translate(FromCrlf(), [b"\r", b"\r", b"\n"]) == b"\r\n"
