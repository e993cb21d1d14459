"""What people and service managers write: it is understood, or one documented error.

An exception of another class fails these tests by itself: it would be a traceback.
"""

import getopt
import os
from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fuzz.texts import LONG_NUMBER, mixed, words
from socketd.cli import options
from socketd.cli.serve import settings_of
from socketd.errors import (
    ListenError,
    ProgramError,
    SocketdError,
    SystemFailureError,
    UsageError,
)
from socketd.operations.systemd import find_manager, take_passed_sockets
from socketd.programs.command import ShellUse, resolve
from socketd.settings.address import (
    Address,
    InheritedAddress,
    TcpAddress,
    UnixAddress,
    parse_listen,
    parse_operand,
    place_of,
)
from socketd.settings.duration import parse_duration
from socketd.settings.filemode import parse_mode
from socketd.settings.kinds import BadValueError, Count
from socketd.system.accounts import check_name, parse_user

ADDRESS_PARTS = ("tcp:", "unix:", "fd:", "/", ":", "[", "]", "::1", "localhost", "web", "#1", "-")
# What a manager may call a socket, see sd_listen_fds(3).
PASSED_NAMES = mixed(("web", "#1", "0", "1")).map(lambda text: text.replace(":", ""))
DURATION_PARTS = (".", "ms", "s", "m", "h", "d", "0.5", "1e9", "inf", "nan", "_", "+")
YEAR_SECONDS = 365 * 86400
NAMES = [option.name for option in options.all_options()]
LETTERS = "".join(
    option.letter + (":" if option.metavar else "")
    for option in options.all_options()
    if option.letter
)
LONG_NAMES = [option.name + ("=" if option.metavar else "") for option in options.all_options()]
VALUES = sorted({value for option in options.all_options() for value in option.choices})
WORD_PARTS = (*(f"--{name}" for name in NAMES), *VALUES, *LETTERS.replace(":", ""), "-", "--", "=")
SETTING = "--setting"
_Value = TypeVar("_Value")


def attempt(
    parse: Callable[[], _Value], refusal: type[SocketdError] = UsageError
) -> tuple[_Value | None, SocketdError | None]:
    """Return what a parser makes of a text, or the error by which it refuses one."""
    try:
        return parse(), None
    except refusal as error:
        return None, error


def is_one_line(error: SocketdError | None) -> bool:
    """Tell whether an error, if there is one, can be told in a line."""
    return error is None or len(str(error).splitlines()) == 1


@given(mixed(ADDRESS_PARTS))
@example(f"tcp:{LONG_NUMBER}")
@example("tcp:\u0663")
@example("fd:web:1")
def test_address_of_a_file_is_read_as_it_is_written(text: str) -> None:
    """What is understood is written, read again, and the same."""
    address, error = attempt(lambda: parse_listen(text))

    assert is_one_line(error)
    if address is not None:
        assert parse_listen(place_of(address)) == address
    if isinstance(address, TcpAddress):
        assert address.port.isascii()


@given(words(ADDRESS_PARTS), st.none() | words(ADDRESS_PARTS))
@example(LONG_NUMBER, None)
@example("\u0663", None)
def test_operand_is_an_address(text: str, host: str | None) -> None:
    """A path has a slash, a number is within its range; the rest is the name of a service."""
    address, error = attempt(lambda: parse_operand(text, host))

    assert is_one_line(error)
    assert address is None or isinstance(address, UnixAddress) is ("/" in text)
    if isinstance(address, TcpAddress) and address.port.isascii() and address.port.isdecimal():
        assert int(address.port) <= 65535


@given(st.lists(st.builds(InheritedAddress, PASSED_NAMES, st.integers(0, 20)), max_size=3))
@example([InheritedAddress("web#1"), InheritedAddress("web", 1)])
def test_places_are_the_same_for_the_same_socket_alone(addresses: list[Address]) -> None:
    """Whatever names a manager gives: two sockets are never taken for one."""
    assert len(set(map(place_of, addresses))) == len(set(addresses))


@given(mixed(DURATION_PARTS))
@example(LONG_NUMBER)
@example(f"0.{LONG_NUMBER}d")
def test_duration_is_a_time_within_a_year(text: str) -> None:
    """And never what a clock cannot count with."""
    seconds, error = attempt(lambda: parse_duration(text, SETTING))

    assert is_one_line(error)
    if seconds is not None:
        assert 0.001 <= seconds <= YEAR_SECONDS
        assert text.isascii()


@given(st.integers(1, YEAR_SECONDS * 1000))
def test_duration_is_read_as_it_is_written(milliseconds: int) -> None:
    """In milliseconds, and in seconds with a fraction."""
    assert parse_duration(f"{milliseconds}ms", SETTING) == pytest.approx(milliseconds / 1000)
    assert parse_duration(f"{milliseconds / 1000:.3f}", SETTING) == milliseconds / 1000


@given(mixed(("7", "0o", "777", "8")))
@example(LONG_NUMBER)
def test_mode_is_permissions(text: str) -> None:
    """Bits for user, group and others, from octal digits."""
    mode, error = attempt(lambda: parse_mode(text, SETTING))

    assert is_one_line(error)
    if mode is not None:
        assert int(f"{mode:o}", 8) == int(text, 8) <= 0o777
        assert text.isascii()


@given(mixed(("+", "_", "1")))
@example(LONG_NUMBER)
def test_count_is_a_number_within_its_bounds(text: str) -> None:
    """As many as are asked for, in digits that everybody reads."""
    try:
        count = Count(1, 1024).read(text)
    except BadValueError:
        count = None

    if count is not None:
        assert isinstance(count, int)
        assert 1 <= count <= 1024
        assert count == int(text)
        assert text.isascii()


@given(mixed((":", "root", "nobody")))
def test_names_of_users_are_never_empty(text: str) -> None:
    """Nor is there a NUL in one."""
    names, error = attempt(lambda: parse_user(text, SETTING))

    assert is_one_line(error)
    for name in names or ():
        assert name is None or (check_name(name, SETTING) and "\0" not in name)


@given(words(("cat", "|", "'", '"', "\\", " ", "/bin/", "=", "$X", "~")))
def test_command_is_a_program(text: str) -> None:
    """Or it is not found, or may not be run."""
    where = {"PATH": "/usr/bin:/bin"}
    program, error = attempt(lambda: resolve(text, ShellUse.AUTO, where), ProgramError)

    assert is_one_line(error)
    if program is not None:
        assert os.path.isabs(program.path)
        assert program.arguments


@given(st.lists(words(WORD_PARTS), max_size=5))
def test_options_are_those_that_getopt_finds(arguments: list[str]) -> None:
    """The grammar is getopt's: the same values, the same operands, the same refusals."""
    try:
        pairs, operands = getopt.gnu_getopt(arguments, LETTERS, LONG_NAMES)
    except getopt.GetoptError:
        with pytest.raises(UsageError):
            options.parse(arguments)
        return
    by_letter = {f"-{one.letter}": one.name for one in options.all_options() if one.letter}
    named = [(by_letter.get(key, key.removeprefix("--")), value) for key, value in pairs]
    expected = dict(named)
    line, error = attempt(lambda: options.parse(arguments))

    is_one_empty = any(one.metavar and (one.name, "") in named for one in options.all_options())
    assert (error is not None) is is_one_empty
    if line is not None:
        assert (line.values, line.operands) == (expected, operands)


@given(
    st.dictionaries(
        st.sampled_from(NAMES),
        words((*VALUES, *DURATION_PARTS, "root", ":")) | st.sampled_from(VALUES),
    ),
    words(ADDRESS_PARTS),
)
@example({"workers": LONG_NUMBER}, "0")
@example({"max-workers": LONG_NUMBER}, LONG_NUMBER)
@example({"umask": LONG_NUMBER}, "0")
@example({"user": LONG_NUMBER}, "0")
@example({"allow-file": "/\u2028"}, "0")
def test_command_line_is_settings(values: dict[str, str], operand: str) -> None:
    """Or one error of those that the commands tell in a line."""
    line = options.CommandLine()
    for name, value in {"program": "cat", "loop": "", "fork": "", **values}.items():
        line.add(name, value)
    line.operands = [operand]
    where = {"PATH": "/usr/bin:/bin"}
    settings, error = attempt(lambda: settings_of(line, where), SocketdError)

    assert is_one_line(error)
    if settings is not None:
        assert 1 <= settings.pool.minimum <= settings.pool.maximum


@given(
    st.dictionaries(
        st.sampled_from(["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"]),
        words((str(os.getpid()), "1", "65536", ":", "web")) | st.just(str(os.getpid())),
    )
)
@example({"LISTEN_PID": LONG_NUMBER, "LISTEN_FDS": "1"})
@example({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": LONG_NUMBER})
def test_activation_is_understood_or_refused(environment: dict[str, str]) -> None:
    """And leaves none of its variables behind."""
    passed, error = attempt(lambda: take_passed_sockets(environment, os.getpid()), ListenError)

    assert is_one_line(error)
    assert environment == {}
    assert not passed  # nothing that a test has open listens where that begins


@given(
    st.dictionaries(
        st.sampled_from(["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]),
        words(("/run/notify", "@", "1000000")),
    )
)
@example({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": LONG_NUMBER})
def test_manager_is_understood_or_refused(environment: dict[str, str]) -> None:
    """Its address, and how often it wants to hear from us."""
    manager, error = attempt(lambda: find_manager(environment, os.getpid()), SystemFailureError)

    assert is_one_line(error)
    if manager is not None:
        assert manager.address is None or manager.address[0] in "/@"
        assert manager.watchdog_seconds is None or manager.watchdog_seconds > 0
