"""`socketd check --explain`: the levels that the services of a file get, and why."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.servers import Outcome

from .conftest import Begin

pytestmark = pytest.mark.slow

TEXT = """
[service.plain]
listen = ["tcp:127.0.0.1:1"]
program = "cat"

[service.forked]
listen = ["tcp:127.0.0.1:6"]
program = "cat"
worker = "python"

[service.filter]
listen = ["tcp:127.0.0.1:2", "tcp:127.0.0.1:3"]
program = "cat"
ready = "read"

[service.impatient]
listen = ["tcp:127.0.0.1:4"]
program = ["bash", "-c", "read -t 5 line; echo $line"]
ready = "read"
"""
STRICT = """
[service.strict]
listen = ["tcp:127.0.0.1:5"]
program = ["bash", "-c", "read -t 5 line; echo $line"]
ready = "read!"
"""
REASON = "its first wait for input has a time limit"


@pytest.fixture
def check(begin: Begin, tmp_path: Path) -> Callable[..., Outcome]:
    """Return a function that has a file of services checked."""
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")

    def check_text(text: str, *options: str) -> Outcome:
        path = tmp_path / "services.toml"
        path.write_text(text)
        command = begin(str(path), *options, subcommand="check")
        output, status = command.finish()
        return Outcome(status, output.decode(), command.stderr.replace(str(path), "FILE"))

    return check_text


def test_level_of_each_service_is_told(check: Callable[..., Outcome]) -> None:
    """One line for each service: the level that it gets, and why it is not the wanted one."""
    done = check(TEXT, "--explain")

    assert (done.status, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "service.plain: load: held before main()",
        "service.forked: fork: not started ahead",
        "service.filter: read: held at its first read",
        f"service.impatient: load: held before main(), since it is not held at read: {REASON}",
    ]


def test_service_that_would_not_start_is_a_mistake(check: Callable[..., Outcome]) -> None:
    """With an exclamation mark the reason is a mistake, and the others are told all the same."""
    done = check(TEXT + STRICT, "--explain")

    assert done.status == 1
    assert done.stderr.startswith("socketd: FILE: service.strict: ")
    assert done.stderr.endswith(f"--ready read!: {REASON}\n")
    assert len(done.stdout.splitlines()) == 4


def test_mistake_in_the_file_comes_first(check: Callable[..., Outcome]) -> None:
    """Nothing is started as long as the file makes no sense."""
    done = check(TEXT + "reday = 'read'\n", "--explain")

    assert (done.status, done.stdout) == (1, "")
    assert "did you mean 'ready'?" in done.stderr


def test_without_the_option_nothing_is_started(check: Callable[..., Outcome]) -> None:
    """A check alone has no effect, and takes no program for a mistake that cannot be held."""
    done = check(TEXT + STRICT)

    assert (done.status, done.stdout, done.stderr) == (0, "", "")
