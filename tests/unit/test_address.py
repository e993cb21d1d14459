"""Addresses as people write them: what is a path, what is a port, what is neither."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketd.errors import ExitCode, UsageError
from socketd.settings.address import (
    AbstractAddress,
    TcpAddress,
    UnixAddress,
    parse_operand,
)


@pytest.mark.parametrize("text", ["/run/s", "./s", "a/b", "s/", "/"])
def test_operand_with_a_slash_is_a_path(text: str) -> None:
    """Whatever holds a slash is a UNIX path, taken as it stands."""
    assert parse_operand(text, None) == UnixAddress(text)


@pytest.mark.parametrize("text", ["0", "1", "7000", "65535", "00080", "http", "7000x", "x-7", "-"])
def test_other_operand_is_a_port_or_a_service_name(text: str) -> None:
    """Without a slash it is a port of all addresses, a name being looked up elsewhere."""
    assert parse_operand(text, None) == TcpAddress(None, text)


@pytest.mark.parametrize("text", ["@a", "@@", "@7000", "@ "])
def test_operand_that_begins_with_an_at_sign_is_an_abstract_name(text: str) -> None:
    """No port and no service begins so; with a slash it is a path, as it always was."""
    assert parse_operand(text, None) == AbstractAddress(text[1:])
    assert parse_operand(f"{text}/b", None) == UnixAddress(f"{text}/b")


def test_local_address_goes_with_a_port() -> None:
    """-B names the one address to use."""
    assert parse_operand("7000", "localhost") == TcpAddress("localhost", "7000")


@pytest.mark.parametrize("text", ["65536", "-1", "--5", "-0", "99999999999999999999", "1" * 5000])
def test_port_number_beyond_the_range_is_refused(text: str) -> None:
    """A number that is no port is a usage error that says the limits, however long it is."""
    with pytest.raises(UsageError, match=r"is out of range: 0 to 65535$") as caught:
        parse_operand(text, None)

    assert caught.value.exit_code == ExitCode.USAGE


def test_empty_operand_is_refused() -> None:
    """No text is no port."""
    with pytest.raises(UsageError, match="the port is empty"):
        parse_operand("", None)


def test_local_address_beside_a_path_is_refused() -> None:
    """A UNIX path has no host; nobody is left to believe that -B restricts it."""
    with pytest.raises(UsageError, match=r"-B 'localhost' does not apply to the UNIX path '/s'"):
        parse_operand("/s", "localhost")


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (TcpAddress("127.0.0.1", "7000"), "127.0.0.1 port 7000"),
        (TcpAddress(None, "http"), "port http"),
        (UnixAddress("/run/s"), "/run/s"),
    ],
)
def test_address_reads_as_in_an_error_line(address: TcpAddress | UnixAddress, text: str) -> None:
    """An address in a message is what the operator wrote."""
    assert str(address) == text


@given(st.text())
def test_any_text_is_an_address_or_a_usage_error(text: str) -> None:
    """Nothing that a user can type ends in another exception."""
    try:
        address = parse_operand(text, None)
    except UsageError:
        return

    assert address in (UnixAddress(text), TcpAddress(None, text), AbstractAddress(text[1:]))
