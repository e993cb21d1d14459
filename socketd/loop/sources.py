"""The sources of events: descriptors, and what is done when one of them is ready.

Owns the selector and the one wait of the master. Must not know what any source is, nor what its
action does. An action that may fail takes care of that itself, behind a barrier of its own.

A source that is removed hears no more, not even of what the same wait has found. Remove it before
its descriptor is closed: epoll(7) goes on to report an open file description of which another
process still has a copy, and the number may be another descriptor's by then.
"""

import selectors
from collections.abc import Callable
from types import TracebackType
from typing import Self

READABLE = selectors.EVENT_READ
WRITABLE = selectors.EVENT_WRITE

Action = Callable[[int], object]


class Source:
    """A descriptor that is watched; its action gets those of the events that have come."""

    def __init__(self, selector: selectors.BaseSelector, fd: int, action: Action) -> None:
        self.action = action
        self._selector = selector
        self._fd = fd
        self._events = 0

    def watch(self, events: int) -> None:
        """Wait for these events from now on, for none if there are none. Raises OSError."""
        if events == self._events:
            return
        if events and self._events:
            self._selector.modify(self._fd, events, self)
        elif events:
            self._selector.register(self._fd, events, self)
        elif self._events:
            self._selector.unregister(self._fd)
        self._events = events

    def remove(self) -> None:
        """Hear no more of it; the descriptor is the caller's to close."""
        self.watch(0)

    def hear(self, events: int) -> None:
        """Act on what has come, as far as that is still wanted."""
        if events & self._events:
            self.action(events & self._events)


class Sources:
    """All sources of one loop, as a context; at its end no action is called any more."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Self:
        """Return the sources."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the selector, not the descriptors."""
        self._selector.close()

    def add(self, fd: int, action: Action, events: int = READABLE) -> Source:
        """Have an action called whenever a descriptor is ready. Raises OSError."""
        source = Source(self._selector, fd, action)
        source.watch(events)
        return source

    def wait(self, seconds: float | None) -> None:
        """Wait until a source is ready, or the time is over, and call the actions of all ready.

        With None there is no time. Raises whatever an action does.
        """
        for key, events in self._selector.select(seconds):
            source: Source = key.data
            source.hear(events)
