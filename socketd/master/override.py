"""What somebody has set of a service for now: its sizes, or that it is drained.

Owns what becomes of the settings of a pool. Must not know who has set it, nor for how long it is
to be.
"""

from socketd.dataclass import dataclass, replace
from socketd.pool.settings import PoolSettings
from socketd.settings.table import MOST_WORKERS


@dataclass(frozen=True, slots=True)
class Override:
    """Sizes in place of those of the file; a drained service has no worker that waits."""

    minimum: int | None = None
    maximum: int | None = None
    is_drained: bool = False

    def apply(self, settings: PoolSettings) -> PoolSettings:
        """Return the settings that are in force."""
        if self.is_drained:
            return replace(settings, minimum=0, maximum=0, spares=0)
        minimum = settings.minimum if self.minimum is None else self.minimum
        maximum = settings.maximum if self.maximum is None else self.maximum
        spares = settings.spares if maximum < MOST_WORKERS else 0
        return replace(settings, minimum=minimum, maximum=maximum, spares=spares)


NO_OVERRIDE = Override()
