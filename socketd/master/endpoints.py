"""All services of a master: added together, changed together, passed on together.

Owns the services by their key, and those on their way out. Must not know signals, the loop, or
where settings come from.

A change happens whole or not at all: everything that can fail is done first (sockets are bound,
templates started), and undone if anything fails; what then follows only makes use of it.

No client finds a UNIX socket whose file was removed or replaced. A change binds it anew, for a
service of its own, as if it were a new one; the former one is stopped like a removed one, and still
serves the clients in its queue.
"""

import contextlib
from collections.abc import Callable

from socketd.config.services import Changes, ServiceSettings, compare
from socketd.dataclass import dataclass, field
from socketd.loop.filewatch import FileWatch
from socketd.loop.listeners import Listener, ListenerState, resume
from socketd.loop.sources import Sources
from socketd.loop.wheel import Wheel
from socketd.master.favouring import Favouring
from socketd.master.guarded import GuardedEndpoint
from socketd.master.member import Member
from socketd.master.orphans import Orphans
from socketd.master.override import NO_OVERRIDE, Override
from socketd.master.sensing import Sensing
from socketd.master.shared import Shared
from socketd.master.state import EndpointState
from socketd.operations import log
from socketd.pool.departure import DepartureState
from socketd.pool.leftovers import Household
from socketd.pool.tally import Tally
from socketd.workers.children import Child, Children, Family

OpenListener = Callable[[ServiceSettings], Listener]


@dataclass(frozen=True, slots=True)
class EndpointSnapshot:
    """A service as a process passes it on to its successor.

    One that has crashed has no state, and `remains` are the processes that are left of it.
    """

    settings: ServiceSettings
    listener: ListenerState
    state: EndpointState | None
    remains: tuple[int, ...] = ()
    tally: Tally = field(default_factory=Tally)
    override: Override = NO_OVERRIDE
    departure: DepartureState | None = None


class Endpoints:
    """The services, each behind a barrier of its own: see socketd/master/guarded.py.

    `members` are all of their listeners, and the favourites of each: see household.py.
    """

    def __init__(
        self,
        wheel: Wheel,
        files: FileWatch,
        sources: Sources,
        doorbell_fd: int,
        crashes: int = 0,
        sensed: dict[str, int] | None = None,
    ) -> None:
        self.sensing = Sensing(sensed)
        self.members: list[Member] = []
        self._favouring: dict[GuardedEndpoint, Favouring] = {}
        self._sources = sources
        self._children = Children()
        self._by_family: dict[Family, GuardedEndpoint] = {}
        self._shared = Shared(
            wheel, files, doorbell_fd, self._add_family, self._forget_family, self.sensing
        )
        self._former_crashes = crashes
        self._has_delayed = False
        self.orphans = Orphans(self._children, wheel, self._households, self._household_of)

    @property
    def services(self) -> list[Member]:
        """Return the listeners, without favourites."""
        return [one for one in self.members if not one.is_favourite]

    @property
    def staying(self) -> dict[str, Member]:
        """Return the services that are not on their way to their end, by key."""
        return {one.settings.key: one for one in self.services if not one.is_stopping}

    @property
    def are_stopping(self) -> bool:
        """Tell whether all services are on their way to their end."""
        return all(one.is_stopping for one in self.services)

    @property
    def crashes(self) -> int:
        """Return how many services have crashed, in this process and its predecessors."""
        return self._former_crashes + sum(one.crashes for one in self.members)

    def start(self, services: list[tuple[ServiceSettings, Listener]]) -> None:
        """Found services and bring up the first workers of each. Raises SocketdError."""
        for settings, listener in services:
            endpoint = self._found(settings, listener, is_first=True)
            self.members.append(endpoint)
            endpoint.create()
        self.tell_apart()
        spawners = [endpoint.prepare(endpoint.settings) for endpoint in self.members]
        self._adopt_orphans()
        for endpoint, spawner in zip(self.services, spawners, strict=True):
            endpoint.begin(spawner)
            self._favouring[endpoint].open(endpoint.settings)

    def tell_apart(self) -> None:
        """Have lines of the log for people name their service, if there are several."""
        log.name_services(are_several=len({one.settings.name for one in self.services}) > 1)

    def change(self, wanted: list[ServiceSettings], open_listener: OpenListener) -> Changes:
        """Make the services those that are wanted, and begin a new generation in each.

        Raises SocketdError or OSError if that cannot be, with everything as it was.
        """
        staying = {one.settings.key: one for one in self.services if one.may_stay}
        lost = [endpoint for endpoint in staying.values() if endpoint.listener.is_lost]
        present = {key: one for key, one in staying.items() if one not in lost}
        changes = compare({key: one.settings for key, one in present.items()}, wanted)
        with contextlib.ExitStack() as undoing:
            listeners = []
            for settings in changes.added:
                listeners.append(open_listener(settings))
                undoing.callback(listeners[-1].close)
            spawners = []
            for settings in changes.kept:
                endpoint = present[settings.key]
                spawners.append(endpoint.prepare(settings))
                undoing.callback(endpoint.discard, spawners[-1])
            for settings in changes.kept:
                endpoint = present[settings.key]
                undoing.callback(
                    endpoint.listener.change, endpoint.settings.address, endpoint.settings.backlog
                )
                endpoint.listener.change(settings.address, settings.backlog)
            added = []
            for settings, listener in zip(changes.added, listeners, strict=True):
                endpoint = self._found(settings, listener)
                undoing.callback(self._abandon, endpoint)
                endpoint.create()
                added.append(endpoint)
            first_spawners = []
            for endpoint in added:
                first_spawners.append(endpoint.prepare(endpoint.settings))
                undoing.callback(endpoint.discard, first_spawners[-1])
            undoing.pop_all()
        self.members += added
        for endpoint in lost:
            log.emit(
                "listener_lost", service=endpoint.settings.name, listener=str(endpoint.listener)
            )
            self._favouring[endpoint].stop("reload")
        for key in changes.removed:
            if present[key].departure is None:
                present[key].depart("reload")
        for settings, spawner in zip(changes.kept, spawners, strict=True):
            self._favouring[present[settings.key]].allot(settings)
            present[settings.key].reload(settings, spawner)
            self._favouring[present[settings.key]].open(settings)
        self._adopt_orphans()
        for endpoint, spawner in zip(added, first_spawners, strict=True):
            endpoint.begin(spawner)
            self._favouring[endpoint].open(endpoint.settings)
        return changes

    def depart(self, reason: str) -> None:
        """Stop all services, each after its delay; again, with more haste.

        What is left behind is hastened together with them: a delay counts once it is over.
        """
        is_over = self._has_delayed and not self._is_any_delayed
        for endpoint in self.services:
            if not endpoint.is_finished:
                endpoint.depart(reason)
        self._has_delayed = self._is_any_delayed
        for _ in range(is_over + (not self._has_delayed)):
            self.orphans.stop()

    @property
    def _is_any_delayed(self) -> bool:
        return any(endpoint.departure is not None for endpoint in self.services)

    def stop(self, reason: str) -> None:
        """Stop all services at once, or with more haste."""
        self.orphans.stop()
        for endpoint in self.services:
            if not endpoint.is_finished:
                self._favouring[endpoint].stop(reason)

    def give_up(self) -> None:
        """Let all workers go, without a look at what becomes of them."""
        for endpoint in self.members:
            endpoint.give_up()

    def forget_finished(self) -> None:
        """Forget the services whose last worker is gone."""
        crashes = self.crashes
        self.members = [endpoint for endpoint in self.members if not endpoint.is_finished]
        self._former_crashes += crashes - self.crashes
        self._forget_families()

    def attribute(self, pid: int) -> tuple[GuardedEndpoint, Child] | None:
        """Return whose child it is."""
        child = self._children.find(pid)
        if child is None or child.family not in self._by_family:
            return None
        return self._by_family[child.family], child

    @property
    def in_shortage(self) -> list[GuardedEndpoint]:
        """Return those that may lack a process for which there was no room."""
        in_shortage = tuple(self._children.in_shortage)
        return [self._by_family[family] for family in in_shortage if family in self._by_family]

    def look_at(self, pid: int) -> None:
        """Find out who has ended or was stopped, as long as the kernel still knows it.

        A worker that has never accepted may not have been noted. By its session it is known whose
        it is; one with a session of its own may belong to any service.
        """
        child = self._children.find(pid)
        family = self._children.family_of(pid) if child is None else child.family
        own = None if family is None else self._by_family.get(family)
        for endpoint in self.members if own is None else (own,):
            endpoint.look_at(pid)
        if own is not None and self._children.find(pid) is None:
            own.note_unknown_child()

    def forget_child(self, pid: int) -> None:
        """Forget a child that has been collected."""
        child = self._children.forget(pid)
        if child is None:
            self.orphans.on_exit(pid)
        elif child.slot is not None and self._by_family[child.family].settings.ends_children:
            self.orphans.note_end(pid)

    @property
    def have_finished(self) -> bool:
        """Tell whether the last worker of the last service is gone."""
        return all(one.is_finished for one in self.members)

    @property
    def are_over(self) -> bool:
        """Tell whether all services have finished, and nothing is left that is to end with them."""
        return self.have_finished and self.orphans.is_over()

    def snapshot(self) -> list[EndpointSnapshot]:
        """Return all that a successor needs to go on."""
        endpoints = []
        for endpoint in self.services:
            left = self._favouring[endpoint].give_up()
            state, remains = endpoint.state()  # first: a crash may give up the listener
            remains += left
            endpoints.append(
                EndpointSnapshot(
                    endpoint.settings,
                    endpoint.listener.state(),
                    state,
                    remains,
                    endpoint.tally,
                    endpoint.override,
                    endpoint.departure,
                )
            )
        return endpoints

    def resume(self, endpoints: list[EndpointSnapshot]) -> None:
        """Go on where a predecessor has stopped, with a new generation of workers in each."""
        for one in endpoints:
            listener = resume(one.listener, one.settings.address)
            endpoint = self._found(one.settings, listener, tally=one.tally)
            self.members.append(endpoint)
            endpoint.override = one.override
            endpoint.resume(one.state, one.remains)
            endpoint.go_on_departing(one.departure)
        self.tell_apart()
        self._adopt_orphans()
        for endpoint in self.services:
            endpoint.renew()
            if not endpoint.is_stopping:
                self._favouring[endpoint].open(endpoint.settings)

    def _found(
        self,
        settings: ServiceSettings,
        listener: Listener,
        *,
        is_first: bool = False,
        tally: Tally | None = None,
    ) -> Member:
        favouring = Favouring(
            settings,
            listener,
            self._shared,
            self._sources,
            self._join,
            self._leave,
            is_first=is_first,
            tally=tally,
        )
        self._favouring[favouring.head] = favouring
        return favouring.head

    def _join(self, favourite: Member) -> None:
        self.members.append(favourite)

    def _leave(self, favourite: Member) -> None:
        self._former_crashes += favourite.crashes
        self.members.remove(favourite)
        self._forget_families()

    def _forget_families(self) -> None:
        """Forget the children and the favourites of those that are no members any more."""
        staying = set(self.members)
        for family in [one for one, endpoint in self._by_family.items() if endpoint not in staying]:
            self._forget_family(family)
        for endpoint in [one for one in self._favouring if one not in staying]:
            del self._favouring[endpoint]

    def _abandon(self, endpoint: Member) -> None:
        endpoint.abandon()
        del self._favouring[endpoint]
        self._former_crashes += endpoint.crashes

    def _adopt_orphans(self) -> None:
        ending = [one.settings.pool for one in self.members if one.settings.ends_children]
        kill_seconds = max((pool.kill_seconds for pool in ending), default=0.0)
        self.orphans.adopt(wanted=bool(ending), kill_seconds=kill_seconds)

    def _households(self) -> list[Household]:
        return [one.household(number) for number, one in enumerate(self.members)]

    def _household_of(self, pid: int) -> int | None:
        family = self._children.family_of(pid)
        endpoint = None if family is None else self._by_family.get(family)
        return self.members.index(endpoint) if endpoint in self.members else None

    def _add_family(self, endpoint: GuardedEndpoint) -> Family:
        family = self._children.add_family()
        self._by_family[family] = endpoint
        return family

    def _forget_family(self, family: Family) -> None:
        family.disband()
        del self._by_family[family]
        self._children.dissolve(family)
