"""Permissions of a file as people write them."""

import re

import pytest

from socketd.errors import UsageError
from socketd.settings.filemode import parse_mode


@pytest.mark.parametrize(
    ("text", "bits"),
    [("0", 0), ("7", 7), ("022", 0o22), ("22", 0o22), ("0660", 0o660), ("777", 0o777)],
)
def test_mode_is_octal_digits(text: str, bits: int) -> None:
    """One to four of them, up to 777."""
    assert parse_mode(text, "--umask") == bits


@pytest.mark.parametrize("text", ["", "8", "0o22", "-1", "+7", " 7", "7 ", "1000", "00777", "٣"])
def test_anything_else_is_no_mode(text: str) -> None:
    """The error names the setting and the text."""
    expected = f"--umask: {text!r} is not an octal number from 0 to 777"

    with pytest.raises(UsageError, match=re.escape(expected)):
        parse_mode(text, "--umask")
