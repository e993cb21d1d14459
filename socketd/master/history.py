"""What has become of the master's own reloads and re-execs since the server was started.

Owns the counts and the last outcome of each. Must not know how a reload is done. The times are
those of day: people read them.
"""

import time

from socketd.control.document import Attempts, Outcome, text
from socketd.dataclass import dataclass, field


def _none() -> Attempts:
    return Attempts(0, 0, None)


@dataclass(slots=True)
class History:
    """The past of a server, which a re-exec passes on."""

    started_at: float = field(default_factory=time.time)
    reloads: Attempts = field(default_factory=_none)
    reexecs: Attempts = field(default_factory=_none)

    def note_reload(self, errors: list[str]) -> Outcome:
        """Note a reload that is over: it was done if there are no errors."""
        outcome = Outcome(time.time(), list(map(text, errors)))
        self.reloads = _after(self.reloads, outcome)
        return outcome

    def note_reexec(self, errors: list[str]) -> Outcome:
        """Note the same of a re-exec."""
        outcome = Outcome(time.time(), list(map(text, errors)))
        self.reexecs = _after(self.reexecs, outcome)
        return outcome


def _after(former: Attempts, outcome: Outcome) -> Attempts:
    is_done = not outcome.errors
    return Attempts(former.done + is_done, former.failed + (not is_done), outcome)
