"""What the copies of a template share, as far as it can be said from outside.

Owns these words, which are those of docs/templates.md. Must not know how it was found out whether a
program can be held.
"""

import enum
import os
import re

from socketd.dataclass import dataclass
from socketd.programs.command import Program
from socketd.programs.fingerprint import interpreters
from socketd.settings.readiness import ReadyLevel

_ENTRY = re.compile(r"(\d+)([wa]?)(l?)=(.*)")
_NEXT_ENTRY = re.compile(r" (?=\d+[wa]?l?=)| (?=\.\.\.$)")
# Of which each copy has its own (native/hold/wakeups.c): a pipe has both its ends in the program.
_WAKEUP = re.compile(r"anon_inode:\[eventfd\]|pipe:\[\d+\]")
_SHARED_CANARY = re.compile("shared: (.*)")
# Whose generators are renewed in each copy (native/hold/numbers.c, native/hold/python.c), and who
# is held only if the script does not draw (socketd/programs/script_words.py).
_RENEWED = re.compile(r"bash|python[23]?(\.\d+t?)?|(perl|ruby|php)[\d.]*")
_DRAWING_NOTHING = re.compile(r"dash|ksh\d*|mksh|zsh\d*|[gm]awk|lua[\d.]*")


class Access(enum.Enum):
    """What a descriptor that copies have from their template is for them."""

    OWN = "own"  # open for reading only, or to wake itself: each copy opens it again
    WRITE = "write"
    APPEND = "append"
    SHARED = "shared"  # a socket to the log: one for all copies


class State(enum.Enum):
    """Whether each copy has its own: of random numbers, of the address layout."""

    FRESH = "fresh"
    RESEEDED = "reseeded"
    SHARED = "shared"


@dataclass(frozen=True, slots=True)
class SharedFile:
    """A descriptor that a template had open when it was held."""

    fd: int
    target: str
    access: Access
    is_locked: bool = False


@dataclass(frozen=True, slots=True)
class Sharing:
    """What copies share. There is no time limit among it: what has one is not held.

    `canary_reason` says why they have the stack canary of their template, None if they do not.
    """

    files: tuple[SharedFile, ...]
    has_more_files: bool
    random_state: State
    address_layout: State
    canary_reason: str | None = None


def sharing_of(level: ReadyLevel, program: Program, descriptors: str, canary: str) -> Sharing:
    """Return what copies of a program share at a level.

    `descriptors` and `canary` are those of `template_started`.
    """
    files, has_more = parse_descriptors(descriptors)
    layout = State.SHARED if level.is_held else State.FRESH
    found = _SHARED_CANARY.fullmatch(canary)
    reason = None if found is None else found[1]
    return Sharing(files, has_more, random_state(level, program), layout, reason)


def random_state(level: ReadyLevel, program: Program) -> State:
    """Return what becomes of the random numbers that a program has drawn before it is held."""
    if level not in (ReadyLevel.READ, ReadyLevel.STOP):
        return State.FRESH  # nothing of the program has run
    names = [os.path.basename(os.path.realpath(path)) for path in interpreters(program.path)]
    if any(map(_RENEWED.fullmatch, names)):
        return State.RESEEDED
    return State.FRESH if any(map(_DRAWING_NOTHING.fullmatch, names)) else State.SHARED


def parse_descriptors(text: str) -> tuple[tuple[SharedFile, ...], bool]:
    """Return the files of the key `descriptors`, and whether there are more than it names."""
    files = []
    has_more = False
    for entry in _NEXT_ENTRY.split(text) if text else ():
        found = _ENTRY.fullmatch(entry)
        if found is None:
            has_more = True
            continue
        fd, letter, lock, target = found.groups()
        access = {"w": Access.WRITE, "a": Access.APPEND}.get(letter, Access.OWN)
        if not target.startswith("/") and not _WAKEUP.fullmatch(target):
            access = Access.SHARED
        files.append(SharedFile(int(fd), target, access, bool(lock)))
    return tuple(files), has_more
