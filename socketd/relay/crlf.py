"""Line ends: LF on our side, CRLF on the wire.

Owns the two translations of -c as streams: pure, with the same result wherever blocks end. Must not
know where bytes come from or go to.
"""

CR = b"\r"
LF = b"\n"
CRLF = b"\r\n"


class Unchanged:
    """The translation of a connection without -c: none."""

    def feed(self, block: bytes) -> bytes:
        """Return the block as it is."""
        return block

    def finish(self) -> bytes:
        """Return nothing: nothing was kept."""
        return b""


class ToCrlf(Unchanged):
    """Towards the socket: each LF becomes CRLF, also after a CR."""

    def feed(self, block: bytes) -> bytes:
        """Return the translation of a block."""
        return block.replace(LF, CRLF)


class FromCrlf(Unchanged):
    """Towards stdout: CRLF becomes LF; a CR without an LF after it stays."""

    def __init__(self) -> None:
        self._kept = b""

    def feed(self, block: bytes) -> bytes:
        """Return the translation of a block; a CR at its end is kept until the next block."""
        text = self._kept + block
        self._kept = CR if text.endswith(CR) else b""
        return text.removesuffix(CR).replace(CRLF, LF)

    def finish(self) -> bytes:
        """Return what was kept, at the end of the stream."""
        kept, self._kept = self._kept, b""
        return kept
