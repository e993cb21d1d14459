"""One listener of a service, or a program that its requests name: both have a pool of workers.

Owns what they are to each other: the address at which connections are handed over, and the one
maximum of their workers. Must not know which programs have a pool, nor why one is given up.
"""

import time
from collections.abc import Callable
from typing import assert_never

from socketd.config.services import ServiceSettings
from socketd.dataclass import dataclass, replace
from socketd.loop.listeners import Listener
from socketd.master.departing import Departing
from socketd.master.endpoint import Endpoint
from socketd.master.guarded import GuardedEndpoint
from socketd.master.override import Override
from socketd.master.shared import Shared
from socketd.master.state import EndpointState
from socketd.master.statistics import Statistics
from socketd.operations import log
from socketd.pool.allotment import Allotment, PoolSize, Share
from socketd.pool.departure import Aim, DepartureState
from socketd.pool.messages import OfSeveral
from socketd.pool.tally import Tally
from socketd.workers.spawner import Handing, Spawner


@dataclass(frozen=True, slots=True)
class Role:
    """What a member is among those whose workers are a service's at most.

    `on_worked` is called whenever one of them has done something, `stop` when they are all to stop.
    """

    handing: Handing
    allotment: Allotment
    on_worked: Callable[[], None]
    stop: Callable[[str], None]


class Member(GuardedEndpoint):
    """An endpoint behind its barrier, with a role; if that of a favourite crashes, none follows.

    `is_favourite` tells whether its connections come from workers that have accepted them.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        listener: Listener,
        shared: Shared,
        role: Role,
        *,
        is_first: bool = False,
        clock: Callable[[], float] = time.monotonic,
        tally: Tally | None = None,
    ) -> None:
        super().__init__(settings, listener, shared, is_first=is_first, clock=clock, tally=tally)
        self._role = role
        self.is_favourite = role.handing.is_favourite
        self._share: Share | None = None
        self._counted = 0
        self._departing = Departing(shared.wheel, clock, self._tell, self._leave)

    @property
    def departure(self) -> DepartureState | None:
        """Return what is to come of it that others are told first, None if nothing is."""
        return self._departing.state

    @property
    def is_stopping(self) -> bool:
        """Tell whether it is on its way to its end, or is going to be."""
        return self._departing.is_to_stop or super().is_stopping

    @property
    def may_stay(self) -> bool:
        """Tell whether it is served, so that it could go on even if it is going to stop."""
        return not super().is_stopping

    @property
    def unmet(self) -> int:
        """Return how many workers it lacks, for want of room among those it shares that with."""
        return 0 if self._share is None else self._share.unmet

    @property
    def size(self) -> PoolSize:
        """Return how many workers it has, and what they do."""
        return self.ask(lambda endpoint: endpoint.size, otherwise=PoolSize(0, 0, 0))

    @property
    def statistics(self) -> Statistics:
        """Return its numbers; what a favourite has served is counted by its service."""
        numbers = super().statistics
        return replace(numbers, connections=self.uncounted) if self.is_favourite else numbers

    @property
    def uncounted(self) -> int:
        """Return how many connections it has served that its service does not count yet."""
        return self.ask(lambda it: it.connections, otherwise=self._counted) - self._counted

    def count_in(self, head: "Member") -> int:
        """Have the service count what it has served; return how many that were."""
        number = self.uncounted
        self._counted += number
        head.count(number)
        return number

    def count(self, connections: int) -> None:
        """Count connections that a favourite has served."""
        self.do(lambda endpoint: endpoint.count(connections))

    @property
    def template_pids(self) -> tuple[int, ...]:
        """Return the processes that its workers are copied from."""
        return self.ask(lambda endpoint: endpoint.processes.template_pids, otherwise=())

    @property
    def is_put_away(self) -> bool:
        """Tell whether it has crashed."""
        return self._endpoint is None

    @property
    def remains(self) -> tuple[int, ...]:
        """Return the process ids of which nothing but that is known any more."""
        return self._wreckage.pids

    def has_user(self, uid: int) -> bool:
        """Tell whether programs of it run as a user."""
        return self.ask(lambda it: uid in it.processes.family.uids, otherwise=False)

    def depart(self, reason: str) -> None:
        """Begin to stop when its delay is over, or stop with more haste."""
        self.note_change()
        is_served = self.is_ready and not self.override.is_drained and self.may_stay
        self._departing.stop(self.settings.pool.delay_seconds if is_served else 0.0, reason)

    def drain(self) -> None:
        """Take no connection for now, when its delay is over."""
        self.note_change()
        is_served = self.is_ready and not self.override.is_drained
        self._departing.drain(self.settings.pool.delay_seconds if is_served else 0.0)

    def stay(self) -> None:
        """Have no drain come any more."""
        self.note_change()
        self._departing.stay()

    def go_on_departing(self, state: DepartureState | None) -> None:
        """Go on where a predecessor has stopped."""
        self.note_change()
        self._departing.resume(state)

    def reload(self, settings: ServiceSettings, spawner: Spawner | None) -> None:
        """Have a new generation of workers made; nothing that was set for now stays."""
        self._departing.forget()
        super().reload(settings, spawner)

    def set_for_now(self, override: Override) -> None:
        """Have other sizes; the most of all pools together is that of the service."""
        if not override.is_drained:
            self._role.allotment.maximum = override.apply(self.settings.pool).room
        super().set_for_now(override)

    def work(self) -> None:
        """Feed the pool with all that has happened."""
        super().work()
        self._role.on_worked()

    def note(self, event: OfSeveral) -> None:
        """Have the pool act on what is decided among those it shares the maximum with."""
        self.do(lambda endpoint: endpoint.note(event))

    def leave_allotment(self) -> None:
        """Count no more among them: it has no worker, or none that is known."""
        if self._share is not None:
            self._role.allotment.leave(self._share)
            self._share = None

    def _tell(self, aim: Aim, seconds: float) -> None:
        name = self.settings.name
        log.emit("departing", service=name, aim=aim.value, seconds=round(seconds, 3))

    def _leave(self, aim: Aim, reason: str) -> None:
        match aim:
            case Aim.STOP:
                if not self.is_finished:
                    self._role.stop(reason)
            case Aim.DRAIN:
                former = self.override
                self.set_for_now(Override(former.minimum, former.maximum, is_drained=True))
            case _:
                assert_never(aim)

    def _make_endpoint(
        self,
        state: EndpointState | None = None,
        handing: Handing | None = None,
        share: Share | None = None,
    ) -> Endpoint:
        self.leave_allotment()
        self._share = self._role.allotment.join(is_first=not self.is_favourite)
        return super()._make_endpoint(state, handing or self._role.handing, share or self._share)

    def _clear_away(self, endpoint: Endpoint) -> None:
        self.leave_allotment()
        super()._clear_away(endpoint)

    def _is_to_go_on(self, endpoint: Endpoint | None) -> bool:
        return not self.is_favourite and super()._is_to_go_on(endpoint)
