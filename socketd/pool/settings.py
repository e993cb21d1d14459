"""What an operator can set about a pool.

Owns the names of the strategies and the numbers a pool is made with.
"""

import enum

from socketd.dataclass import dataclass

KILL_SECONDS = 5.0


class Strategy(enum.Enum):
    """The name of a strategy, as an operator writes it."""

    FIXED = "fixed"
    EAGER = "eager"
    ADAPTIVE = "adaptive"
    INCREMENTAL = "incremental"
    SURGE = "surge"


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """The size of a pool and how it changes; already checked.

    `delay_seconds` is how long a service is served on that was told to stop.
    `connection_limit` ends the service after that many connections, `limit_seconds` a connection
    after that time, `silence_seconds` one on which no byte has gone for that time, and
    `first_byte_seconds` one whose client has said nothing until then; None means never.
    `spares` are workers beyond the maximum: while so many are busy, they send clients away.
    """

    minimum: int
    maximum: int
    strategy: Strategy = Strategy.EAGER
    idle_seconds: float = 30.0
    drain_seconds: float = 30.0
    connection_limit: int | None = None
    kill_seconds: float = KILL_SECONDS
    limit_seconds: float | None = None
    silence_seconds: float | None = None
    first_byte_seconds: float | None = None
    spares: int = 0
    delay_seconds: float = 0.0

    @property
    def rule(self) -> tuple[Strategy, int, int, int]:
        """Return what a rule of growth is made of."""
        return self.strategy, self.minimum, self.maximum, self.spares

    @property
    def judges_silence(self) -> bool:
        """Tell whether a connection may end for what it does not carry."""
        return self.silence_seconds is not None or self.first_byte_seconds is not None

    @property
    def room(self) -> int:
        """Return how many workers there may be."""
        return self.maximum + self.spares
