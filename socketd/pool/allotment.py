"""How many workers several pools may have together.

Owns the sum, and whose turn it is when it is reached. Must not know what the pools are for.

A service whose requests name programs has a pool of its own, and one for each program that is asked
for often. Its maximum is that of all of them together, since an operator has sized the machine by
it. The first pool comes before the others: without a worker there nobody is served at all.
"""

from collections.abc import Sized
from typing import NamedTuple


class PoolSize(NamedTuple):
    """What the workers of a pool do: `leaving` are those that wait and were asked to leave."""

    idle: int
    busy: int
    leaving: int


class Share:
    """What one pool has of an allotment; `unmet` is how many workers it lacks for want of room.

    `workers` are those that it has: a pool puts its register there. Without an allotment it gets
    all that it wants.
    """

    def __init__(self, allotment: "Allotment | None" = None) -> None:
        self.workers: Sized = ()
        self.unmet = 0
        self._allotment = allotment

    @property
    def is_short(self) -> bool:
        """Tell whether a worker that ends makes room that this or another pool waits for."""
        return self._allotment is not None and self._allotment.is_short

    def grant(self, wanted: int) -> int:
        """Return how many of the wanted workers may be started now."""
        if self._allotment is None:
            return wanted
        granted = max(0, min(wanted, self._allotment.room_for(self)))
        self.unmet = max(0, wanted - granted)
        return granted


class Allotment:
    """The room for the workers of several pools; shares join and leave as pools come and go."""

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum
        self._first: Share | None = None
        self._shares: list[Share] = []

    @property
    def room(self) -> int:
        """Return for how many more workers there is room."""
        return max(0, self.maximum - sum(len(share.workers) for share in self._shares))

    @property
    def is_short(self) -> bool:
        """Tell whether one of the pools lacks workers."""
        return any(share.unmet for share in self._shares)

    def join(self, *, is_first: bool = False) -> Share:
        """Return a share for one more pool; another first one takes the place of the former."""
        share = Share(self)
        if is_first:
            if self._first is not None:
                self.leave(self._first)
            self._first = share
        self._shares.append(share)
        return share

    def leave(self, share: Share) -> None:
        """Forget the share of a pool that is over."""
        if share in self._shares:
            self._shares.remove(share)
        if share is self._first:
            self._first = None

    def room_for(self, share: Share) -> int:
        """Return how many workers one of the pools may start now."""
        first = self._first
        kept = 0 if first is None or share is first else first.unmet
        return self.room - kept
