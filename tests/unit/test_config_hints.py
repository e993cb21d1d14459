"""What people write at their first try is taken, or the line says what they mean."""

from pathlib import Path

import pytest

from socketd.config.file import load
from socketd.errors import ConfigurationError
from socketd.settings.table import SETTINGS

from .test_configfile import AROUND, ECHO, mistakes, read


@pytest.mark.parametrize(
    "listen",
    ['"tcp:127.0.0.1:7000"', '{ address = "tcp:127.0.0.1:7000" }', '["tcp:127.0.0.1:7000"]'],
)
def test_one_address_stands_for_a_list_of_one(tmp_path: Path, listen: str) -> None:
    """It is what everybody writes who has one."""
    text = ECHO.replace('["tcp:127.0.0.1:7000"]', listen)

    assert read(tmp_path, text) == read(tmp_path, ECHO)


LISTS = {
    "allow": '"192.0.2.1"',
    "deny": '"192.0.2.1"',
    "proxy_protocol": '"192.0.2.1"',
    "groups": '"root"',
    "read_paths": '"/usr"',
    "write_paths": '"/usr"',
    "tcp_connect": "80",
    "scripts": '"/usr"',
    "index": '"index.cgi"',
    "request_variables": '"standard"',
}


def test_every_setting_that_is_a_list_is_in_the_list() -> None:
    """So that none is forgotten."""
    lists = {one.name for one in SETTINGS if one.kind.allowed.startswith("a list")}

    assert lists == LISTS.keys()


@pytest.mark.parametrize("name", LISTS)
def test_one_value_stands_for_a_list_of_one(name: str) -> None:
    """In every setting that is a list."""
    [kind] = [one.kind for one in SETTINGS if one.name == name]
    value: object = int(LISTS[name]) if LISTS[name].isdecimal() else LISTS[name].strip('"')

    assert kind.take(value) == kind.take([value])


def test_several_values_in_one_text_are_told_apart_from_a_list(tmp_path: Path) -> None:
    """A comma is how a command line separates them."""
    [mistake] = mistakes(tmp_path, ECHO + 'allow = "192.0.2.1,192.0.2.2"\n')

    assert "several stand in [ ], each in quotes of its own; allowed: a list" in mistake


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("127.0.0.1:7000", "tcp:127.0.0.1:7000"),
        ("[::1]:7000", "tcp:[::1]:7000"),
        ("7000", "tcp:7000"),
        ("/run/echo.sock", "unix:/run/echo.sock"),
        ("@echo", "unix:@echo"),
    ],
)
def test_address_without_its_kind_is_told_with_it(tmp_path: Path, text: str, meant: str) -> None:
    """What `socket` takes is nearly what a file takes."""
    [mistake] = mistakes(tmp_path, ECHO.replace("tcp:127.0.0.1:7000", text))

    assert f"found {text!r}, perhaps {meant!r} is meant; allowed: tcp:HOST:PORT" in mistake


@pytest.mark.parametrize(
    ("line", "home"),
    [
        ("min = 4", "[service.NAME.workers]"),
        ("drain = '30s'", "[service.NAME.timeouts]"),
        ("mode = '0660'", "a listener, as in listen = [{ address = ..., mode = ... }]"),
        ("workers.program = 'cat'", "[service.NAME]"),
    ],
)
def test_key_of_another_table_is_told_with_that(tmp_path: Path, line: str, home: str) -> None:
    """The most common mistake about a key is its place."""
    [mistake] = mistakes(tmp_path, ECHO + line + "\n")

    assert mistake.endswith(f": unknown key; it is a key of {home}")


def test_unknown_key_of_a_service_is_one_line_that_can_be_read(tmp_path: Path) -> None:
    """A service has sixty keys."""
    file = tmp_path / "services.toml"
    file.write_text(ECHO + "zzzzzzzz = 1\n")

    with pytest.raises(ConfigurationError) as caught:
        load(str(file), AROUND)

    assert caught.value.lines[0].endswith(
        "unknown key; docs/configuration.md has the keys of a service"
    )


def test_program_of_a_list_is_shown_as_it_stands_there(tmp_path: Path) -> None:
    """A list of a file has square brackets."""
    [mistake] = mistakes(tmp_path, ECHO.replace('"cat"', '["no-such-program", "-x"]'))

    assert mistake.startswith("service.echo.program: found ['no-such-program', '-x'], cannot run")
