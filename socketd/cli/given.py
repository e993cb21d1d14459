"""The settings on a command line of `socket`: from words to values, and from problems to messages.

Owns how `socket` reads and names settings. Must not know what they are for.
"""

from collections.abc import Iterable

from socketd.cli.options import CommandLine, spelling
from socketd.errors import SocketdError, UsageError
from socketd.settings.kinds import BadValueError
from socketd.settings.setting import SOCKET, Setting
from socketd.settings.table import SETTINGS, offered
from socketd.settings.values import Problem, Values


def given(line: CommandLine) -> Values:
    """Return what the operator has set. Raises UsageError for an invalid value."""
    values: dict[str, object] = {}
    for setting in offered(SOCKET):
        for word in line.words.get(setting.option, ()):
            try:
                value = setting.kind.read(word)
            except BadValueError as error:
                raise worded(problem_with(setting, word, error)) from None
            if setting.kind.repeats and setting.key in values:
                value = setting.kind.join(values[setting.key], value)
            values[setting.key] = value
    return Values(values)


def problem_with(setting: Setting, word: str, error: BadValueError) -> Problem:
    """Return the problem with a word that is none of its kind."""
    for _, found, allowed, why in error.inner:
        return Problem(setting.key, why, found=found, allowed=allowed)
    if error.is_whole:
        return Problem(setting.key, str(error))
    return Problem(setting.key, str(error), found=word, allowed=setting.kind.wanted)


def option_of(key: str) -> str:
    """Return how a setting is written on a command line."""
    return next(spelling(setting) for setting in SETTINGS if setting.key == key)


def worded(problem: Problem) -> SocketdError:
    """Return a problem as an error with its exit code, with the names of a command line."""
    if problem.cause is not None:
        return problem.cause
    name = next(setting.option for setting in SETTINGS if setting.key == problem.key)
    error = UsageError(f"--{name}{problem.on_command_line(option_of)}")
    error.exit_code = problem.exit_code
    return error


def refuse(problems: Iterable[Problem]) -> None:
    """Raise the first problem, if there is one."""
    for problem in problems:
        raise worded(problem)
