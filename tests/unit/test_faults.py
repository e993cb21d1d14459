"""What the log says of an exception: short, and whatever the exception is."""

import pytest

from socketd.master.faults import describe, trace


class UnprintableError(Exception):
    """One that fails when it is to say what it is."""

    def __str__(self) -> str:
        """Fail."""
        raise ValueError


def raised(error: Exception) -> Exception:
    """Return an exception that has been raised."""
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value


def test_kind_and_text_are_told() -> None:
    """The kind comes first, alone if there is no text."""
    assert describe(KeyError("x")) == "KeyError: 'x'"
    assert describe(MemoryError()) == "MemoryError"


def test_exception_that_cannot_be_printed_has_a_name() -> None:
    """The name of its kind will do."""
    assert describe(UnprintableError()) == "UnprintableError"
    assert "UnprintableError" in trace(raised(UnprintableError()))


def test_text_is_cut() -> None:
    """A line of the log has to fit into a small pipe, whatever an exception says."""
    assert len(describe(ValueError("x" * 10000))) < 400
    assert len(trace(raised(ValueError("x" * 10000)))) < 2100


def test_innermost_frames_are_told() -> None:
    """A traceback ends with the exception, and has the frames next to it."""

    def deep(depth: int) -> None:
        if depth == 0:
            raise RuntimeError("at the bottom")
        deep(depth - 1)

    with pytest.raises(RuntimeError) as caught:
        deep(50)
    text = trace(caught.value)

    assert text.endswith("RuntimeError: at the bottom")
    assert 1 < text.count("deep(depth - 1)") < 9 or "repeated" in text
