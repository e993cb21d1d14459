"""What happened to a fleet of hosts: attempts of clients, what the balancer saw, what was done.

Owns the record and what may be concluded from it. Pure: it starts nothing, and reads no clock.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field

HOSTS = ("one", "two", "three")
_PERCENT = 100


@dataclass(frozen=True)
class Attempt:
    """One connection of a client: when, for how long, who has answered; nobody if it was lost."""

    begun_seconds: float
    ended_seconds: float
    host: str
    is_first: bool


@dataclass(frozen=True)
class Sight:
    """A host as the balancer saw it at a moment."""

    seconds: float
    host: str
    status: str
    weight: int

    @property
    def share(self) -> int:
        """Return the weight by which it gets clients, 0 if it gets none."""
        return self.weight if self.status.startswith("UP") else 0


@dataclass(frozen=True)
class Deed:
    """Something that was done to a host, and when it was over."""

    name: str
    host: str
    begun_seconds: float
    ended_seconds: float


@dataclass
class Story:
    """All of it."""

    attempts: list[Attempt] = field(default_factory=list)
    sights: list[Sight] = field(default_factory=list)
    deeds: list[Deed] = field(default_factory=list)

    def deed(self, name: str) -> Deed:
        """Return what was done under a name."""
        [found] = [one for one in self.deeds if one.name == name]
        return found

    def lost(self) -> list[Attempt]:
        """Return the attempts that nobody has answered."""
        return [one for one in self.attempts if not one.host]

    def excused(self, attempt: Attempt) -> bool:
        """Tell whether an attempt was open when a host was killed."""
        killed = self.deed("killed").begun_seconds
        return attempt.begun_seconds <= killed <= attempt.ended_seconds

    def answers(self, host: str, begun: float, ended: float) -> int:
        """Return how many attempts a host has answered that began in a time."""
        return sum(one.host == host and begun <= one.begun_seconds < ended for one in self.attempts)

    def least_share(self, host: str, begun: float, ended: float) -> int:
        """Return the least weight that a host had in a time."""
        shares = [s.share for s in self.sights if s.host == host and begun <= s.seconds < ended]
        return min(shares, default=0)


def mistakes(story: Story) -> list[str]:
    """Return what is not as docs/fleet.md says; nothing if all is."""
    wrong = [
        f"lost at {one.begun_seconds:.1f} s, and no host was killed then"
        for one in story.lost()
        if not story.excused(one)
    ]
    wrong += [
        f"a second attempt was lost at {one.begun_seconds:.1f} s"
        for one in story.lost()
        if not one.is_first
    ]
    loaded = story.deed("overloaded")
    least = story.least_share(loaded.host, loaded.begun_seconds, loaded.ended_seconds)
    if not 0 < least < _PERCENT // 2:
        wrong.append(f"{loaded.host} had a weight of {least} when most of its workers were busy")
    span = loaded.begun_seconds, loaded.ended_seconds
    counts = {host: story.answers(host, *span) for host in HOSTS}
    if counts[loaded.host] * 4 > sum(counts.values()):
        wrong.append(f"{loaded.host} was sent as many clients as others: {counts}")
    for name in ("drained", "stopped, started"):
        deed = story.deed(name)
        if story.least_share(deed.host, deed.begun_seconds, deed.ended_seconds):
            wrong.append(f"{deed.host} was {name}, and was sent clients all the time")
    last = max((one.seconds for one in story.sights), default=0.0)
    wrong += [
        f"{one.host} is {one.status} at the end"
        for one in story.sights
        if one.seconds == last and one.share == 0
    ]
    return wrong


def sights_of(seconds: float, answer: str) -> list[Sight]:
    """Return what HAProxy's `show stat` says of the hosts."""
    rows = csv.DictReader(answer.splitlines())
    return [
        Sight(seconds, row["svname"], row["status"], int(row["weight"]))
        for row in rows
        if row["svname"] in HOSTS
    ]


def summary(story: Story) -> Iterable[str]:
    """Yield the lines that a person is told."""
    lost = story.lost()
    yield f"{len(story.attempts) - len(lost)} clients served, {len(lost)} connections lost"
    yield f"{sum(story.excused(one) for one in lost)} of these were on the host that was killed"
    for deed in story.deeds:
        span = deed.begun_seconds, deed.ended_seconds
        least = story.least_share(deed.host, *span)
        count = story.answers(deed.host, *span)
        when = f"{span[0]:.0f} to {span[1]:.0f} s"
        yield f"{when}: {deed.host} {deed.name}: least weight {least}, {count} clients"
