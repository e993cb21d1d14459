"""Fixtures of the tests that run `socket` as a user of socket 1.1 would."""

from collections.abc import Iterator

import pytest

from harness.commands import Command, StartCommand


@pytest.fixture
def start() -> Iterator[StartCommand]:
    """Start commands that are killed at the end, and must leave nothing behind."""
    commands: list[Command] = []

    def begin(*arguments: str, **options: object) -> Command:
        command = Command(*arguments, **options)  # type: ignore[arg-type]  # options of Command
        commands.append(command)
        return command

    yield begin
    errors = []
    for command in reversed(commands):
        try:
            command.close()
        except AssertionError as error:
            errors.append(error)
    if errors:
        raise errors[0]
