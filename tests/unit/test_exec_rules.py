"""What exec leaves to its caller, by the rules of the shell and of execvp(3)."""

import errno
from collections.abc import Iterator

import pytest

from socketd.programs.command import Program
from socketd.programs.exec_rules import is_about_program, start_by, status_of

SCRIPT = Program("/srv/script", ("script", "one", "two"))


def refuse(errors: Iterator[int], started: list[Program], program: Program) -> str:
    """Refuse a program as often as there are errors."""
    started.append(program)
    for number in errors:
        raise OSError(number, "refused")
    return "started"


def test_program_is_started_as_it_is() -> None:
    """Nothing is done about one that runs."""
    started: list[Program] = []

    assert start_by(SCRIPT, lambda program: refuse(iter(()), started, program)) == "started"
    assert started == [SCRIPT]


def test_script_without_a_first_line_is_run_by_the_shell() -> None:
    """It gets its path in place of its name, and its arguments."""
    started: list[Program] = []
    errors = iter((errno.ENOEXEC,))

    assert start_by(SCRIPT, lambda program: refuse(errors, started, program)) == "started"
    assert started[1:] == [Program("/bin/sh", ("sh", "/srv/script", "one", "two"))]


@pytest.mark.parametrize("errors", [(errno.EACCES,), (errno.ENOEXEC, errno.ENOEXEC)])
def test_other_errors_are_the_caller_s(errors: tuple[int, ...]) -> None:
    """Neither is the shell asked, nor is it asked twice."""
    refused = iter(errors)

    with pytest.raises(OSError, match="refused") as caught:
        start_by(SCRIPT, lambda program: refuse(refused, [], program))
    assert caught.value.errno == errors[-1]


@pytest.mark.parametrize(
    ("number", "is_so"),
    [(errno.ENOENT, True), (errno.EACCES, True), (errno.EMFILE, False), (errno.ENOMEM, False)],
)
def test_limits_of_the_system_are_no_fault_of_the_program(number: int, is_so: bool) -> None:
    """They are told apart, since another exit code stands for each."""
    assert is_about_program(number) == is_so


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (errno.ENOENT, 127),
        (errno.ENOTDIR, 127),
        (errno.ELOOP, 127),
        (errno.ENAMETOOLONG, 127),
        (errno.EACCES, 126),
        (errno.ENOEXEC, 126),
        (errno.E2BIG, 126),
        (None, 126),
    ],
)
def test_status_is_that_of_the_shell(number: int | None, status: int) -> None:
    """127 for what is not there, 126 for everything else."""
    assert status_of(number) == status
