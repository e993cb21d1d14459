"""Who may come in, as an operator has set it.

Owns the value. Must not know what a rule means, nor where it is looked at.
"""

from socketd.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """How often clients may come: one each interval, and at once so many as fill in `full_ns`.

    It is false for as often as they like.
    """

    interval_ns: int = 0
    full_ns: int = 0

    def __bool__(self) -> bool:
        """Tell whether there is a limit."""
        return self.interval_ns > 0

    @property
    def numbers(self) -> tuple[int, int]:
        """Return both."""
        return self.interval_ns, self.full_ns


ANY_RATE = Rate()


@dataclass(frozen=True, slots=True)
class Admission:
    """The rules about clients of a service, and the files with more of them.

    A rule is a text: whom it names is looked up when it comes into force.
    `has_list` says that some rule allows, or a file may: who matches none may not come in then.
    `refusal` is sent to who may not.
    `source_limit` is the most connections of a source at once, 0 for any number; a source is all
    addresses that begin with the same bits, or a user.
    `rate` says how often clients may come, `source_rate` how often those of a source. Who comes too
    often waits for `longest_seconds` at most, and is sent away if that is too short.
    Who connects while all workers are busy may have waited for `queue_seconds`, and is sent away
    then; None lets it wait.
    Who is denied by rules is kept out of all services for `sensor_seconds`, if that is not None.
    With `proxies` nobody else may connect, and each says for whom within `header_seconds`.
    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    allow_file: str | None = None
    deny_file: str | None = None
    has_list: bool = False
    refusal: str = ""
    source_limit: int = 0
    ipv4_bits: int = 32
    ipv6_bits: int = 64
    rate: Rate = ANY_RATE
    source_rate: Rate = ANY_RATE
    longest_seconds: float = 0.0
    queue_seconds: float | None = None
    proxies: tuple[str, ...] | None = None
    header_seconds: float = 0.0
    sensor_seconds: float | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """Return the files that are read again when they change."""
        return tuple(path for path in (self.allow_file, self.deny_file) if path is not None)

    @property
    def is_open(self) -> bool:
        """Tell whether everybody may come in."""
        return not (self.has_list or self.deny or self.files or self.is_counted)

    @property
    def is_counted(self) -> bool:
        """Tell whether it is not by rules alone that a client may come in."""
        has_limit = self.source_limit or self.rate or self.source_rate
        return bool(has_limit) or self.proxies is not None or self.queue_seconds is not None


OPEN = Admission()
