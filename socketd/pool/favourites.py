"""Which of the programs that requests name are to have a template of their own.

Owns how often is often, how many there may be, and which gives way to which. Must not know how a
template is made, nor anything of a program but its name and what tells one version of its file from
another. Times are seconds on the caller's monotonic clock.

A program is asked for when a worker finds no template of it. Asked for MANY times within
WINDOW_SECONDS it is wanted. If all places are taken, the favourite that was used longest ago gives
way, unless it has been used within that same time: so two programs never take a place from each
other in turn. One whose template could not be made is left alone until its file changes.
"""

from collections import OrderedDict, deque

from socketd.dataclass import dataclass

MANY = 8
WINDOW_SECONDS = 10.0
_MOST_CANDIDATES = 256
_MOST_HOPELESS = 256

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Begin:
    """Make a template for a program."""

    program: str
    version: Version


@dataclass(frozen=True, slots=True)
class Drop:
    """Give up the template of a program."""

    program: str
    reason: str


FavouritesCommand = Begin | Drop


@dataclass(slots=True)
class _Favourite:
    version: Version
    used_seconds: float


class Favourites:
    """The favourites of one service, `most` at once.

    Of a program that was asked for, `is_worth_a_look` tells whether its file is to be looked at;
    `seen` takes what was found then.
    """

    def __init__(self, most: int, idle_seconds: float) -> None:
        self._most = most
        self._idle_seconds = idle_seconds
        self._asked: OrderedDict[str, deque[float]] = OrderedDict()
        self._favourites: dict[str, _Favourite] = {}
        self._hopeless: OrderedDict[str, Version] = OrderedDict()

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._favourites)

    def is_worth_a_look(self, program: str, now: float) -> bool:
        """Take note that a program was asked for that has no template, or that of another file."""
        if program in self._favourites:
            return True
        times = self._asked.pop(program, None) or deque(maxlen=MANY)
        self._asked[program] = times
        times.append(now)
        if len(self._asked) > _MOST_CANDIDATES:
            self._asked.popitem(last=False)
        if len(times) < MANY or now - times[0] > WINDOW_SECONDS:
            return False
        times.clear()
        return True

    def seen(self, program: str, version: Version, now: float) -> list[FavouritesCommand]:
        """Decide about a program that is worth a look."""
        commands: list[FavouritesCommand] = []
        present = self._favourites.get(program)
        if present is not None:
            if present.version == version:
                return []
            del self._favourites[program]
            commands.append(Drop(program, "its file has changed"))
        if self._hopeless.get(program) == version:
            return commands
        self._hopeless.pop(program, None)
        if not self._most:
            return commands
        if len(self._favourites) >= self._most:
            oldest = min(self._favourites, key=lambda one: self._favourites[one].used_seconds)
            if now - self._favourites[oldest].used_seconds < WINDOW_SECONDS:
                return commands
            del self._favourites[oldest]
            commands.append(Drop(oldest, "another program is asked for more often"))
        self._asked.pop(program, None)
        self._favourites[program] = _Favourite(version, now)
        return [*commands, Begin(program, version)]

    def use(self, program: str, now: float) -> None:
        """Take note that the template of a program is in use."""
        favourite = self._favourites.get(program)
        if favourite is not None:
            favourite.used_seconds = now

    def withdraw(self, program: str) -> None:
        """Take note that a program has no template, for now."""
        self._favourites.pop(program, None)

    def fail(self, program: str) -> None:
        """Take note that a program cannot have a template."""
        favourite = self._favourites.pop(program, None)
        if favourite is None:
            return
        self._hopeless[program] = favourite.version
        if len(self._hopeless) > _MOST_HOPELESS:
            self._hopeless.popitem(last=False)

    def forget(self) -> list[FavouritesCommand]:
        """Have all templates given up, and begin anew with whatever may have changed."""
        commands: list[FavouritesCommand] = [
            Drop(program, "the service has been reloaded") for program in self._favourites
        ]
        self._favourites.clear()
        self._asked.clear()
        self._hopeless.clear()
        return commands

    @property
    def due_seconds(self) -> float | None:
        """Return when the next favourite has been idle for too long, None if there is none."""
        uses = [one.used_seconds for one in self._favourites.values()]
        return min(uses) + self._idle_seconds if uses else None

    def expire(self, now: float) -> list[FavouritesCommand]:
        """Have those given up that nobody has used for long."""
        idle = [
            program
            for program, one in self._favourites.items()
            if now - one.used_seconds >= self._idle_seconds
        ]
        for program in idle:
            del self._favourites[program]
        return [Drop(program, "nobody has asked for it") for program in idle]
