"""The file with a request for a copy on trial, and what it may not be together with."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from socketd.config.build import Surroundings
from socketd.config.file import load
from socketd.errors import ConfigurationError
from socketd.programs.trial_request import (
    MOST_REQUEST_BYTES,
    UnusableRequestError,
    check_request,
    open_request,
)

AROUND = Surroundings({"PATH": "/usr/bin:/bin"}, {})


def make(kind: str, path: Path) -> Path:
    """Make a file of a kind, or none."""
    match kind:
        case "directory":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "huge" | "largest":
            path.touch()
            os.truncate(path, MOST_REQUEST_BYTES + (kind == "huge"))
        case "file":
            path.touch()
        case _:
            assert kind == "nothing"
    return path


WRONG = {
    "nothing": "cannot be read: No such file or directory",
    "directory": "is a directory",
    "pipe": "is no regular file, and it is read again for each template",
    "huge": "is larger than 16 MiB",
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_cannot_be_a_request_is_told(tmp_path: Path, kind: str) -> None:
    """Nothing waits meanwhile, not even for somebody who writes to a pipe."""
    path = make(kind, tmp_path / "request")

    with pytest.raises(UnusableRequestError) as caught:
        check_request(str(path))

    assert str(caught.value) == WRONG[kind]


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Be an ordinary user: root may read everything."""
    own = os.geteuid()
    os.seteuid(own or 65534)
    try:
        yield
    finally:
        os.seteuid(own)


def test_request_that_may_not_be_read_is_told(open_folder: Path) -> None:
    """The words are the system's."""
    path = make("file", open_folder / "request")
    path.chmod(0)

    with (
        as_nobody(),
        pytest.raises(UnusableRequestError, match="cannot be read: Permission denied"),
    ):
        check_request(str(path))


@pytest.mark.parametrize("kind", ["file", "largest"])
def test_file_is_opened_for_us_alone(tmp_path: Path, kind: str) -> None:
    """No program inherits it by accident."""
    fd = open_request(str(make(kind, tmp_path / "request")))

    assert not os.get_inheritable(fd)
    os.close(fd)


def mistakes(tmp_path: Path, *lines: str) -> list[str]:
    """Return what is wrong with a service, without the name of the file."""
    path = tmp_path / "config.toml"
    text = '[service.c]\nlisten = ["tcp:4000"]\nprogram = "cat"\n' + "\n".join(lines)
    path.write_text(text)
    try:
        load(str(path), AROUND)
    except ConfigurationError as error:
        return [line.removeprefix(f"{path}: ") for line in str(error).splitlines()]
    return []


@pytest.mark.parametrize("level", ["read", "read!", "stop", "stop!"])
@pytest.mark.parametrize("trial", ["", "trial = 'run'"])
def test_request_is_for_levels_at_which_the_program_runs_ahead(
    tmp_path: Path, level: str, trial: str
) -> None:
    """The request replaces the client that has left."""
    request = make("file", tmp_path / "request")

    assert mistakes(tmp_path, f"ready = '{level}'", f"warm_up = '{request}'", trial) == []


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("", "is for ready read or stop"),
        ("ready = 'auto'", "here it is auto"),
        ("ready = 'fork'", "here it is fork"),
        ("ready = 'load!'", "here it is load!"),
        ("ready = 'relay'", "here it is relay"),
        ("ready = 'read'\ntrial = 'prepare'", "needs a copy that runs, which trial prepare"),
        ("ready = 'stop'\nshared_files = 'allow'", "cannot be answered with shared_files allow"),
    ],
)
def test_what_does_not_go_together_with_a_request_is_a_mistake(
    tmp_path: Path, lines: str, words: str
) -> None:
    """One line says so, with the key that asks for it."""
    request = make("file", tmp_path / "request")

    [mistake] = mistakes(tmp_path, lines, f"warm_up = '{request}'")

    assert mistake.startswith("service.c.warm_up: ")
    assert words in mistake


@pytest.mark.parametrize("kind", WRONG)
def test_check_of_a_file_looks_at_the_request(tmp_path: Path, kind: str) -> None:
    """So nobody learns of it at the first renewal."""
    request = make(kind, tmp_path / "request")

    [mistake] = mistakes(tmp_path, "ready = 'read'", f"warm_up = '{request}'")

    assert mistake == f"service.c.warm_up: '{request}': {WRONG[kind]}"
