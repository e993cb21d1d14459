"""Completions for `socketd`: click's scripts, and its answers when a shell asks.

Owns what click would print itself, and the names of programs. Must not know the subcommands.
"""

import os
from collections.abc import Mapping

import click
from click.shell_completion import CompletionItem, ShellComplete, get_completion_class

SHELLS = ("bash", "zsh", "fish")
_VARIABLE = "_SOCKETD_COMPLETE"


def script(commands: click.Command, shell: str, program: str) -> str:
    """Return the script for a shell; it runs the program with a variable to get an answer."""
    kind = get_completion_class(shell)
    assert kind is not None
    # Not the method of the class: that for bash runs whatever bash there is.
    return ShellComplete.source(kind(commands, {}, program, _VARIABLE)).rstrip("\n")


def answer(commands: click.Command, environment: Mapping[str, str], program: str) -> str | None:
    """Return what a script is to be answered, None if none has asked."""
    asked = environment.get(_VARIABLE)
    if not asked:
        return None
    shell, _, instruction = asked.partition("_")
    kind = get_completion_class(shell)
    if kind is None or instruction != "complete":
        return ""
    try:
        return kind(commands, {}, program, _VARIABLE).complete()
    except (KeyError, ValueError):  # variables that no script of ours sets
        return ""


def complete_command(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the programs on PATH whose names begin so; files where it is a path or an argument."""
    if "/" in incomplete or ctx.params.get(param.name or ""):
        return [CompletionItem(incomplete, type="file")]
    names: set[str] = set()
    for folder in os.environ.get("PATH", os.defpath).split(":"):
        try:
            with os.scandir(folder or ".") as entries:
                found = [one for one in entries if one.name.startswith(incomplete)]
        except OSError:
            continue
        names |= {one.name for one in found if os.access(one.path, os.X_OK) and not one.is_dir()}
    return [CompletionItem(name) for name in sorted(names)]
