"""Files that are watched for being replaced or changed, by inotify(7).

Owns the inotify descriptor and what is watched through it. Must not know why, nor what is in a
file. Where the system gives no inotify, of which each user has but a few, nothing is watched.

A watch is on a file, not on its name: a file that is replaced loses its name, which is reported.
Each symbolic link on the way to it is watched as well, because a new version may be installed
beside the old one, and a link changed. For a file that is not there its folder is watched, and of
what arrives in it only that name counts.
"""

import contextlib
import ctypes
import errno
import os
import struct
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from socketd.loop.sources import Sources

_LIBC = ctypes.CDLL(None, use_errno=True)
_EVENT = struct.Struct("iIII")
_READ_BYTES = 65536
_MOST_LINKS = 40  # the kernel's own limit, path_resolution(7)

_IN_ATTRIB = 0x4  # also: it has lost a name
_IN_CLOSE_WRITE = 0x8
_IN_DELETE_SELF = 0x400
_IN_MOVE_SELF = 0x800
_IN_IGNORED = 0x8000
_IN_DONT_FOLLOW = 0x2000000
_IN_MASK_ADD = 0x20000000
_CHANGES = _IN_ATTRIB | _IN_CLOSE_WRITE | _IN_DELETE_SELF | _IN_MOVE_SELF
_ARRIVALS = 0x80 | 0x100  # IN_MOVED_TO, IN_CREATE


class Watch:
    """Some files that are watched together."""

    def __init__(self, action: Callable[[], None]) -> None:
        self.action = action
        self.marks: dict[int, set[bytes]] = {}  # each with the names that count; b"" is the file


class FileWatch:
    """All watched files of one loop, as a context."""

    def __init__(self, sources: Sources) -> None:
        self._fd: int = _LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._by_mark: dict[int, set[Watch]] = {}
        self._source = sources.add(self._fd, self._hear) if self._fd >= 0 else None

    def __enter__(self) -> Self:
        """Return the files."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Watch nothing any more."""
        if self._source is not None:
            self._source.remove()
            os.close(self._fd)
            self._fd = -1

    def add(self, paths: Iterable[str], action: Callable[[], None]) -> Watch:
        """Have an action called whenever one of these files changes, as far as they are there."""
        watch = Watch(action)
        for path in _with_links(paths) if self._fd >= 0 else ():
            name = b""
            mark = self._mark(path, _CHANGES)
            if mark < 0 and ctypes.get_errno() == errno.ENOENT:  # until it is there
                folder, file = os.path.split(path)
                name = os.fsencode(file)
                mark = self._mark(folder, _ARRIVALS)
            if mark >= 0:
                watch.marks.setdefault(mark, set()).add(name)
                self._by_mark.setdefault(mark, set()).add(watch)
        return watch

    def remove(self, watch: Watch) -> None:
        """Hear no more of a watch."""
        for mark in watch.marks:
            others = self._by_mark.get(mark, set())
            others.discard(watch)
            if not others and self._by_mark.pop(mark, None) is not None:
                _LIBC.inotify_rm_watch(self._fd, mark)
        watch.marks.clear()

    def _hear(self, _events: int) -> None:
        """Call the action of each watch of which there is news, once."""
        news: dict[Watch, None] = {}
        with contextlib.suppress(BlockingIOError):
            while content := os.read(self._fd, _READ_BYTES):
                for event in _parse(content):
                    news |= dict.fromkeys(self._heard(*event))
        for watch in news:
            watch.action()

    def _mark(self, path: str, events: int) -> int:
        flags = _IN_DONT_FOLLOW | _IN_MASK_ADD
        return int(_LIBC.inotify_add_watch(self._fd, os.fsencode(path), events | flags))

    def _heard(self, mark: int, mask: int, name: bytes) -> list[Watch]:
        if mark < 0:  # the queue has overflowed
            return [watch for watches in self._by_mark.values() for watch in watches]
        if mask & _IN_IGNORED:
            return list(self._by_mark.pop(mark, ()))
        return [one for one in self._by_mark.get(mark, ()) if name in one.marks[mark]]


class OwnWatches:
    """The watches of one owner: `run` calls their actions, and all can go at once."""

    def __init__(self, files: FileWatch, run: Callable[[Callable[[], None]], object]) -> None:
        self._files = files
        self._run = run
        self._watches: set[Watch] = set()

    def add(self, paths: Iterable[str], action: Callable[[], None]) -> Watch:
        """Have an action called, by `run`, whenever one of these files changes."""
        watch = self._files.add(paths, lambda: self._act(watch, action))
        self._watches.add(watch)
        return watch

    def remove(self, watch: Watch) -> None:
        """Hear no more of a watch; one that was removed before is left alone."""
        self._watches.discard(watch)
        self._files.remove(watch)

    def remove_all(self) -> None:
        """Hear no more of any of them."""
        while self._watches:
            self._files.remove(self._watches.pop())

    def _act(self, watch: Watch, action: Callable[[], None]) -> None:
        if watch in self._watches:
            self._run(action)


def _parse(content: bytes) -> list[tuple[int, int, bytes]]:
    """Return mark, mask and name of each event that was read; a file itself has no name."""
    found, place = [], 0
    while place + _EVENT.size <= len(content):
        mark, mask, _, length = _EVENT.unpack_from(content, place)
        place += _EVENT.size + length
        found.append((mark, mask, content[place - length : place].rstrip(b"\0")))
    return found


def _absolute(path: str) -> str:
    try:
        return os.path.join(os.getcwd(), path)
    except OSError:  # the directory is gone, and with it what it had
        return path


def _with_links(paths: Iterable[str]) -> list[str]:
    """Return the paths, with the symbolic links on the way to each, and what these lead to."""
    found: dict[str, None] = {}
    for path in map(_absolute, paths):
        done, links = "/", 0
        parts = path.split("/")[::-1]
        while parts and links < _MOST_LINKS:
            part = parts.pop()
            if part in ("", "."):
                continue
            here = os.path.dirname(done) if part == ".." else os.path.join(done, part)
            try:
                target = os.readlink(here)
            except OSError:  # no link
                done = here
                continue
            links += 1
            found[here] = None
            if target.startswith("/"):
                done = "/"
            parts += target.split("/")[::-1]
        found[done] = None
    return list(found)
