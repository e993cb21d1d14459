"""The files of a program: whether they are what they were, and what they say.

Owns which files a program consists of as far as its command says: the executable, its interpreters,
and whatever file an argument names. Must not know why it is asked.

Libraries and modules are not among them: only the program knows those.
"""

import contextlib
import os
import re
import stat
from collections.abc import Iterator

from socketd.programs.command import Program

_MOST_INTERPRETERS = 4  # execve(2)
_FIRST_LINE_SIZE = 256
_MOST_WORDS = 64
_MOST_TEXT_BYTES = 1 << 18
_BEGINNING = 1024
_BETWEEN = re.compile(r"[\s'\"`;|&()<>=$]+")


def fingerprint(
    program: Program, directory: str, environment: dict[str, str]
) -> tuple[object, ...]:
    """Return a value that is another one when a file has been changed or replaced."""
    return tuple((name, *mark) for name, mark in _files(program, directory, environment))


def files(program: Program, directory: str, environment: dict[str, str]) -> list[str]:
    """Return the names of the files."""
    return [name for name, _ in _files(program, directory, environment)]


def texts(program: Program, directory: str, environment: dict[str, str]) -> list[str]:
    """Return what a program may be told to run: its arguments, and the text of its files.

    A file that is not text, as grep(1) has it, has none; of a long one only the beginning is read.
    """
    found = [*program.arguments[1:]]
    for name, _ in _files(program, directory, environment):
        with contextlib.suppress(OSError):
            content = _read(name, _MOST_TEXT_BYTES)
            if b"\0" not in content[:_BEGINNING]:
                found.append(content.decode(errors="replace"))
    return found


def _files(
    program: Program, directory: str, environment: dict[str, str]
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the name of each file, and by what it is known."""
    path = environment.get("PATH", os.defpath)
    for word in _words(program):
        name = os.path.join(directory, word)
        if (mark := mark_of(name)) is None and "/" not in word:
            import shutil  # brings five compressors along

            name = shutil.which(word, path=path) or ""
            mark = mark_of(name)
        if mark is not None:
            yield name, mark


def _words(program: Program) -> list[str]:
    """Return what may be names of files, a limited number of them."""
    words = [*interpreters(program.path)]
    for argument in program.arguments[1:]:
        words += [argument, *_BETWEEN.split(argument, _MOST_WORDS)]
    return [word for word in dict.fromkeys(words) if word and "\0" not in word][:_MOST_WORDS]


def interpreters(path: str) -> Iterator[str]:
    """Yield the executable, and the words of its "#!" line and of its interpreter's."""
    for executable, words in _chain(path):
        yield executable
        yield from words


def executables(path: str) -> Iterator[str]:
    """Yield the executable, its interpreter, and in turn that one's."""
    for executable, _ in _chain(path):
        yield executable


def _chain(path: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each executable with the words behind the interpreter in its "#!" line."""
    for _ in range(_MOST_INTERPRETERS):
        words = []
        with contextlib.suppress(OSError):
            head = _read(path, _FIRST_LINE_SIZE)
            words = head[2:].partition(b"\n")[0].split() if head.startswith(b"#!") else []
        yield path, [os.fsdecode(word) for word in words[1:]]
        if not words:
            return
        path = os.fsdecode(words[0])


def _read(path: str, most: int) -> bytes:
    """Return the beginning of a file. Raises OSError."""
    # It need not be a file any more, and a pipe has nobody who writes.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return os.read(fd, most) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    finally:
        os.close(fd)


def mark_of(name: str) -> tuple[int, ...] | None:
    """Return by what a file is known, None if there is none."""
    with contextlib.suppress(OSError, ValueError):
        found = os.stat(name)
        if stat.S_ISREG(found.st_mode):
            return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
    return None
