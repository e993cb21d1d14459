"""What the events of a server say of one level, taken together.

Owns what each event means for us. Must not know how events come here, nor what is done next.
"""

from collections.abc import Mapping
from typing import Any

from socketd.dataclass import dataclass, field

# Not of the closed list: what a server that does not come up says at its end.
REFUSED = "refused"


@dataclass(slots=True)
class Sightings:
    """What is known so far; `reasons` are why the level cannot be had, the first one first.

    `level` is the one that is served, `fallback_reason` why it is not the wanted one. `error` and
    `exit_code` are those by which a server ends that does not come up.
    """

    level: str | None = None
    fallback_reason: str | None = None
    reasons: list[str] = field(default_factory=list)
    error: str | None = None
    exit_code: int = 0
    files: str = ""
    canary: str = ""
    waiting: dict[int, None] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)

    def take(self, event: Mapping[str, Any]) -> None:
        """Take note of an event."""
        match event["event"]:
            case "service_ready":
                self.level = event["ready"]
            case "template_fell_back" | "ready_chosen":
                self.fallback_reason = event["reason"]
            case "template_started":
                self.files, self.canary = event["descriptors"], event["canary"]
            case "template_failed" | "worker_failed" | "service_crashed":
                self.reasons.append(event["reason"])
            case "worker_started":
                self.waiting[event["pid"]] = None
            case "connection_accepted":
                self.waiting.pop(event["pid"], None)
            case "connection_closed":
                self.waiting.pop(event["pid"], None)
                self.statuses.append(event["status"])
            case event_name if event_name == REFUSED:
                self.error, self.exit_code = event["reason"], event["exit_code"]
            case _:
                pass
