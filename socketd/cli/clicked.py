"""The settings of subcommands of `socketd` as options of click, and what these take for a value.

Owns the way from the table to click's options, and from click's values back. Must not know what a
setting is for.
"""

import functools
import os
from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from socketd.cli.given import option_of, problem_with
from socketd.cli.options import help_of
from socketd.settings.kinds import BadValueError, FileNames, Path, Paths
from socketd.settings.setting import Setting
from socketd.settings.table import offered
from socketd.settings.values import Values

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


class _KindType(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.3 on
    """A kind of settings as a type of click's."""

    def __init__(self, setting: Setting) -> None:
        self.name = setting.metavar
        self._setting = setting

    def convert(
        self,
        value: Any,  # noqa: ANN401  click's
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> object:
        """Return the value of a word; click may pass a value that is already converted."""
        kind = self._setting.kind
        if not isinstance(value, str):
            return value
        try:
            return kind.read(value)
        except BadValueError as error:
            problem = problem_with(self._setting, value, error)
            self.fail(problem.on_command_line(option_of).removeprefix(": "), param, ctx)

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002  click's
        param: click.Parameter,  # noqa: ARG002  click's
        incomplete: str,
    ) -> list[CompletionItem]:
        """Return the values that begin so, for a kind with a few; files where it is a path."""
        kind = self._setting.kind
        is_list = isinstance(kind, Paths) and not isinstance(kind, FileNames)
        if is_list and "," in incomplete:
            return [CompletionItem(word) for word in _lists_of_files(incomplete)]
        if is_list or isinstance(kind, Path):
            return [CompletionItem(incomplete, type="file")]
        return [CompletionItem(word) for word in kind.choices if word.startswith(incomplete)]


def _lists_of_files(incomplete: str) -> list[str]:
    """Return a list of paths whose last one is completed: a shell does that for a word only."""
    first, comma, last = incomplete.rpartition(",")
    folder, slash, begin = last.rpartition("/")
    try:
        with os.scandir(folder + slash or ".") as entries:
            found = [entry.name + "/" * entry.is_dir() for entry in entries]
    except OSError:
        return []
    return [
        first + comma + folder + slash + name
        for name in sorted(found)
        if name.startswith(begin) and (begin or not name.startswith("."))
    ]


def with_settings(place: str) -> Callable[[_Decorated], _Decorated]:
    """Give a command an option for each setting that a front end has."""

    def add(command: _Decorated) -> _Decorated:
        for setting in reversed(offered(place)):
            command = _option(setting)(command)
        return command

    return add


def _option(setting: Setting) -> Callable[[_Decorated], _Decorated]:
    kind = setting.kind
    names = [f"-{setting.letter}"] if setting.letter else []
    return click.option(
        *names,
        f"--{setting.option}",
        setting.key.replace(".", "__"),
        type=None if kind.is_switch else _KindType(setting),
        is_flag=kind.is_switch,
        default=None,
        multiple=kind.repeats,
        metavar=setting.metavar or None,
        help=help_of(setting),
    )


def taken(found: dict[str, Any], place: str) -> Values:
    """Return what was given of the settings of a front end."""
    given: dict[str, object] = {}
    for setting in offered(place):
        value = found.pop(setting.key.replace(".", "__"))
        if setting.kind.repeats:
            value = functools.reduce(setting.kind.join, value) if value else None
        if value is not None:
            given[setting.key] = value
    return Values(given)


class WholeNumber(click.IntRange):
    """A number in ASCII digits: int() would accept digits of any script, and 1_000."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401  click's signature
        """Return the number; click may pass one that is already converted."""
        if isinstance(value, str) and not (value.isascii() and value.isdecimal()):
            self.fail(f"{value!r} is not a whole number", param, ctx)
        return super().convert(value, param, ctx)


class Strict(click.Command):
    """A command that refuses empty values: they come from unset variables in scripts."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the words of a command line, and find an empty one among the values."""
        rest = super().parse_args(ctx, args)
        for parameter in self.get_params(ctx):
            value = ctx.params.get(parameter.name or "")
            values = value if isinstance(value, tuple) else (value,)
            if isinstance(parameter, click.Argument):
                values = values[:1]  # arguments of a program may be empty
            if "" in values:
                raise click.BadParameter("the value is empty", ctx, parameter)
        return rest
