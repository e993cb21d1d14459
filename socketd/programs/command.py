"""The operator's command: what to exec for it.

Owns the decision between direct exec and the shell, and the search on PATH. Must not know
workers or sockets.

A shell costs more per connection than everything else together, so a command of plain words is
executed directly. "Plain" is defined narrowly, so that the result is the same: no character that
any POSIX shell treats specially, except quotes around literal text; no assignment first; no builtin
or reserved word first.
"""

import enum
import os
import stat

from socketd.dataclass import dataclass
from socketd.errors import ExitCode, ProgramError
from socketd.system.directory import joined

SHELL = "/bin/sh"
_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"
_BLANKS = " \t"
_BARE = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+:,./=-"
_PRINTABLE = frozenset(map(chr, range(0x20, 0x7F))) | set("\t\n")
# Within double quotes an interactive shell might expand a "!", so such a command goes to the shell.
_WITHIN_QUOTES = {"'": _PRINTABLE, '"': _PRINTABLE - set("$`\\!")}

# POSIX.1-2017, sections 2.4 and 2.14 and "Command Search and Execution", with what dash, bash,
# ksh, mksh and busybox sh add. A builtin that also exists as a program may answer differently.
_SHELL_WORDS = frozenset(
    "! . : [ [[ ]] alias autoload bg bind break builtin caller case cd chdir command compgen "
    "complete compopt continue coproc declare dirs disown do done echo elif else enable esac eval "
    "exec exit export false fc fg fi for function getopts hash help history if in jobs kill let "
    "local logout mapfile newgrp popd printf print pushd pwd read readarray readonly return "
    "select set shift shopt source stop suspend test then time times trap true type typeset "
    "ulimit umask unalias unset until wait whence while".split()
)


class ShellUse(enum.Enum):
    """When a command is run by /bin/sh."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Program:
    """A file to exec and its arguments; `path` is absolute."""

    path: str
    arguments: tuple[str, ...]


def resolve(
    command: str, shell: ShellUse, environment: dict[str, str], root: str | None = None
) -> Program:
    """Decide what to exec for a command, looking for a program as the shell would.

    With `root` it is one below that root directory. Raises ProgramError if a command without a
    shell cannot be run.
    """
    if not command.strip():
        raise ProgramError(f"cannot run {command!r}: it names no program", ExitCode.NOT_FOUND)
    if shell is ShellUse.ALWAYS or (shell is ShellUse.AUTO and not _is_plain(command)):
        return Program(SHELL, ("sh", "-c", command))
    words = command.split() if shell is ShellUse.NEVER else _split(command)
    return Program(_find(words[0], environment, root), tuple(words))


def locate(words: tuple[str, ...], environment: dict[str, str], root: str | None = None) -> Program:
    """Return what to exec for a list of words; the first is looked for on PATH.

    With `root` it is one below that root directory. Raises ProgramError if it cannot be run.
    """
    return Program(_find(words[0], environment, root), words)


def _split(command: str) -> list[str]:
    """Return the words of a command without shell syntax except quotes; none for any other."""
    words: list[str] = []
    rest = command.lstrip(_BLANKS)
    while rest:
        word = ""
        while rest and rest[0] not in _BLANKS:
            part, rest = _part_of_word(rest)
            if part is None:
                return []
            word += part
        words.append(word)
        rest = rest.lstrip(_BLANKS)
    return words


def _part_of_word(text: str) -> tuple[str | None, str]:
    """Return what a text begins with, quoted or bare, and the rest; None for any other syntax."""
    quote = text[0]
    if quote in _WITHIN_QUOTES:
        part, closing, rest = text[1:].partition(quote)
        is_literal = closing and _WITHIN_QUOTES[quote].issuperset(part)
        return (part if is_literal else None), rest
    rest = text.lstrip(_BARE)
    return text[: len(text) - len(rest)] or None, rest


def _is_plain(command: str) -> bool:
    words = _split(command)
    return (
        bool(words)
        and bool(words[0])
        and "=" not in words[0]
        and not words[0].startswith("%")
        and words[0] not in _SHELL_WORDS
    )


def _find(name: str, environment: dict[str, str], root: str | None) -> str:
    """Return the absolute path of the program a shell would run for `name`."""
    if not name:
        raise ProgramError(f"cannot run {name!r}: it names no program", ExitCode.NOT_FOUND)
    if "/" in name:
        candidates = [name]
    else:
        folders = environment.get("PATH", _DEFAULT_PATH).split(":")
        candidates = [os.path.join(folder or ".", name) for folder in folders]
    refused = None
    for candidate in candidates:
        mode, is_executable = _look_at(candidate, root)
        if mode is None:
            continue
        if stat.S_ISREG(mode) and is_executable:
            # Not absolute(): after a symbolic link ".." cannot be resolved as text.
            return joined(candidate.removeprefix("./"))
        refused = refused or (candidate, mode)
    if refused is None:
        where = "there is no such file" if "/" in name else "it is not on PATH"
        below = "" if root is None else f" below {root!r}"
        raise ProgramError(f"cannot run {name!r}: {where}{below}", ExitCode.NOT_FOUND)
    path, mode = refused
    if stat.S_ISDIR(mode):
        raise ProgramError(f"cannot run {path!r}: it is a directory", ExitCode.CANNOT_EXECUTE)
    raise ProgramError(
        f"cannot run {path!r}: it is not executable (try: chmod +x {path})",
        ExitCode.CANNOT_EXECUTE,
    )


def _look_at(path: str, root: str | None) -> tuple[int | None, bool]:
    """Return the mode of a file, None if there is none, and whether we may execute it."""
    try:
        if root is None:
            return os.stat(path).st_mode, os.access(path, os.X_OK)
        from socketd.system.rooted import seen_below  # nobody else needs ctypes so early

        with seen_below(root, joined(path)) as name:
            return os.stat(name).st_mode, os.access(name, os.X_OK)
    except OSError:
        return None, False
