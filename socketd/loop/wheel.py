"""A hierarchical hashed timer wheel: add, cancel, advance and next_due in constant time.

Owns the timers and their order. Knows no clock and no pool: the caller passes the time.

Seven levels of 64 slots; a slot of level n is 64**n ticks wide, so ticks of one millisecond reach
139 years. A timer's level is where its tick first differs from the current one, read in digits of
base 64: everything on level 0 is due within the current 64 ticks, everything on level 1 after
that, and so on. So the earliest slot is the lowest occupied one of the lowest occupied level, and
one integer of occupancy bits per level finds it, however long the wheel has been idle. When time
reaches a slot of a coarse level, its timers move down ("cascade").

Source: Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987.
"""

import math
from collections.abc import Callable
from typing import Protocol

_SLOT_BITS = 6
_SLOTS = 1 << _SLOT_BITS
_LEVELS = 7
# Binary fractions of a second are rarely whole ticks: 0.043 / 0.001 is slightly below 43.
_ROUNDING_TICKS = 1e-4


class Timer:
    """One pending call; keep it to cancel it."""

    __slots__ = ("_slot", "action", "due_tick")

    def __init__(self, due_tick: int, action: Callable[[], None]) -> None:
        self.due_tick = due_tick
        self.action = action
        self._slot: _Slot | None = None


class Timers(Protocol):
    """What takes timers: the wheel, or a part of it that has an owner."""

    def add(self, due_seconds: float, action: Callable[[], None]) -> Timer:
        """Arrange for `action` to be called past `due_seconds`."""
        ...

    def cancel(self, timer: Timer) -> None:
        """Forget a timer; one that has fired or was cancelled before is left alone."""
        ...


class _Slot:
    """The timers of one slot, in the order they were added."""

    __slots__ = ("bit", "level", "timers")

    def __init__(self, level: int, index: int) -> None:
        self.level = level
        self.bit = 1 << index
        self.timers: dict[Timer, None] = {}


class Wheel:
    """Timers due at points of the caller's monotonic clock, in seconds, held in whole ticks.

    A timer never fires early; it fires in the first `advance` that is a tick past it.
    """

    def __init__(self, now_seconds: float, tick_seconds: float = 0.001) -> None:
        self._origin_seconds = now_seconds
        self._tick_seconds = tick_seconds
        self._tick = 0
        self._slots = [[_Slot(level, index) for index in range(_SLOTS)] for level in range(_LEVELS)]
        self._occupied = [0] * _LEVELS

    def add(self, due_seconds: float, action: Callable[[], None]) -> Timer:
        """Arrange for `action` to be called by the first advance past `due_seconds`."""
        ticks = (due_seconds - self._origin_seconds) / self._tick_seconds
        timer = Timer(math.ceil(ticks - _ROUNDING_TICKS), action)
        self._place(timer)
        return timer

    def cancel(self, timer: Timer) -> None:
        """Forget a timer; one that has fired or was cancelled before is left alone."""
        slot = timer._slot  # noqa: SLF001  the wheel owns its timers' place
        if slot is None:
            return
        timer._slot = None  # noqa: SLF001
        del slot.timers[timer]
        if not slot.timers:
            self._occupied[slot.level] &= ~slot.bit

    def advance(self, now_seconds: float) -> None:
        """Call the action of every timer that is due, in the order of their ticks.

        An action may add and cancel timers; one that it adds for a moment that has passed fires
        no earlier than the next tick, so a timer that re-arms itself cannot hold the loop.
        """
        ticks = (now_seconds - self._origin_seconds) / self._tick_seconds
        target = math.floor(ticks + _ROUNDING_TICKS)
        while (start := self._next_start()) is not None and start[0] <= target:
            self._tick, slot = start
            while slot.timers:
                timer = next(iter(slot.timers))
                self.cancel(timer)
                if timer.due_tick <= self._tick:
                    timer.action()
                else:
                    self._place(timer)
        self._tick = max(self._tick, target)

    def next_due(self) -> float | None:
        """Return when to advance next, in seconds, or None when no timer is pending.

        For a timer on a coarse level this is the moment when it moves down: a timer costs at most
        one early call for each level, four for one that is a day away.
        """
        start = self._next_start()
        if start is None:
            return None
        return self._origin_seconds + start[0] * self._tick_seconds

    def _place(self, timer: Timer) -> None:
        # The current tick's slot may be the one that advance() is emptying: never add to it.
        due = timer.due_tick = max(timer.due_tick, self._tick + 1)
        level = ((due ^ self._tick).bit_length() - 1) // _SLOT_BITS
        slot = self._slots[level][(due >> (level * _SLOT_BITS)) % _SLOTS]
        slot.timers[timer] = None
        timer._slot = slot  # noqa: SLF001
        self._occupied[level] |= slot.bit

    def _next_start(self) -> tuple[int, _Slot] | None:
        """Find the first occupied slot and the tick at which it begins."""
        for level, bits in enumerate(self._occupied):
            if bits:
                index = (bits & -bits).bit_length() - 1
                shift = level * _SLOT_BITS
                rotation = self._tick >> (shift + _SLOT_BITS) << (shift + _SLOT_BITS)
                return rotation | (index << shift), self._slots[level][index]
        return None


class OwnTimers:
    """The timers of one owner on a wheel: `run` calls their actions, and all can go at once."""

    def __init__(self, wheel: Wheel, run: Callable[[Callable[[], None]], object]) -> None:
        self._wheel = wheel
        self._run = run
        self._pending: set[Timer] = set()

    def add(self, due_seconds: float, action: Callable[[], None]) -> Timer:
        """Arrange for `action` to be called, by `run`, past `due_seconds`."""

        def fire() -> None:
            self._pending.discard(timer)
            self._run(action)

        timer = self._wheel.add(due_seconds, fire)
        self._pending.add(timer)
        return timer

    def cancel(self, timer: Timer) -> None:
        """Forget a timer; one that has fired or was cancelled before is left alone."""
        self._pending.discard(timer)
        self._wheel.cancel(timer)

    def cancel_all(self) -> None:
        """Forget all of them."""
        while self._pending:
            self._wheel.cancel(self._pending.pop())
