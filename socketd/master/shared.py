"""What all endpoints of a master share.

Owns the value. Must not know what an endpoint does with it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from socketd.dataclass import dataclass
from socketd.loop.filewatch import FileWatch
from socketd.loop.wheel import Wheel
from socketd.master.sensing import Sensing
from socketd.workers.children import Family

if TYPE_CHECKING:
    from socketd.master.guarded import GuardedEndpoint


@dataclass(frozen=True, slots=True)
class Shared:
    """What all endpoints of a master share."""

    wheel: Wheel
    files: FileWatch
    doorbell_fd: int
    add_family: "Callable[[GuardedEndpoint], Family]"
    forget_family: Callable[[Family], None]
    sensing: Sensing
