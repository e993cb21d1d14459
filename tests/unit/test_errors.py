"""Errors are told in one line, whatever a name or a path in them is."""

import pytest

from socketd.errors import ConfigurationError, SocketdError, UsageError, in_one_line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("/tmp/a b\u00e9", "/tmp/a b\u00e9"),
        ("a\nb", "a\\nb"),
        ("a\u2028b\x1b[31m", "a\\u2028b\\x1b[31m"),
        ("\udcff", "\\udcff"),  # a byte of a path that is no text
    ],
)
def test_what_does_not_print_is_escaped(text: str, line: str) -> None:
    """No newline of any kind, no escape sequence, and nothing that cannot be written."""
    assert in_one_line(text) == line
    assert str(SocketdError(text)) == line
    assert ConfigurationError("file", [text]).lines == [f"file: {line}"]


def test_usage_is_not_part_of_the_line() -> None:
    """It stands before, and has lines of its own."""
    error = UsageError("no such option", "Usage: x\n  -y")

    assert (str(error), error.usage) == ("no such option", "Usage: x\n  -y")
