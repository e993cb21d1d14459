"""All services of a master: founded together, changed together, passed on together.

Owns the services by their key, and those on their way out. Must not know signals, the loop, or
where settings come from.

A change happens whole or not at all: everything that can fail is done first (sockets are bound,
templates started), and undone if anything fails; what then follows only makes use of it.

A UNIX socket whose file has gone, or has made place for another, is found by no client any more.
A change binds it anew, for a service of its own, as if it were a new one; the former one is
stopped like one that nobody wants, with those served that wait in its queue.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from socketd import log
from socketd.children import Children, Family
from socketd.config import Changes, ServiceSettings, compare
from socketd.crew import Crew, CrewState
from socketd.listeners import Listener, ListenerState, resume
from socketd.service import Service, ServiceState
from socketd.wheel import Wheel

OpenListener = Callable[[ServiceSettings], Listener]


@dataclass(frozen=True, slots=True)
class Heir:
    """A service as a process passes it on to its successor."""

    settings: ServiceSettings
    listener: ListenerState
    state: ServiceState


class Roster:
    """The services, each with a listener and a crew of its own."""

    def __init__(self, wheel: Wheel, doorbell_fd: int) -> None:
        self.services: list[Service] = []
        self._children = Children()
        self._by_family: dict[Family, Service] = {}
        self._wheel = wheel
        self._doorbell_fd = doorbell_fd
        self._stop_reason = ""

    @property
    def staying(self) -> dict[str, Service]:
        """Return the services that are not on their way to their end, by key."""
        return {one.settings.key: one for one in self.services if not one.is_stopping}

    def found(self, settings: ServiceSettings, listener: Listener) -> Service:
        """Add a service that has not been started. Raises SystemFailureError."""
        return self._add(settings, listener)

    def start(self, services: list[tuple[ServiceSettings, Listener]]) -> None:
        """Found services and bring up the first workers of each. Raises SystemFailureError."""
        for settings, listener in services:
            self.found(settings, listener)
        spawners = [
            service.crew.make_spawner(service.settings, service.listener, 0)
            for service in self.services
        ]
        for service, spawner in zip(self.services, spawners, strict=True):
            service.start(spawner)

    def change(self, wanted: list[ServiceSettings], open_listener: OpenListener) -> Changes:
        """Make the services those that are wanted, and begin a new generation in each.

        Raises SocketdError if that cannot be, with everything as it was.
        """
        staying = self.staying
        lost = [service for service in staying.values() if service.listener.is_lost]
        present = {key: one for key, one in staying.items() if one not in lost}
        changes = compare({key: one.settings for key, one in present.items()}, wanted)
        with contextlib.ExitStack() as undoing:
            listeners = []
            for settings in changes.added:
                listeners.append(open_listener(settings))
                undoing.callback(listeners[-1].close)
            spawners = []
            for settings in changes.kept:
                service = present[settings.key]
                spawner = service.crew.make_spawner(
                    settings, service.listener, service.next_generation
                )
                spawners.append(spawner)
                undoing.callback(service.crew.discard, spawner)
            for settings in changes.kept:
                service = present[settings.key]
                undoing.callback(
                    service.listener.change, service.settings.address, service.settings.backlog
                )
                service.listener.change(settings.address, settings.backlog)
            founded = []
            for settings, listener in zip(changes.added, listeners, strict=True):
                founded.append(self.found(settings, listener))
                undoing.callback(self._remove, founded[-1])
                undoing.callback(founded[-1].crew.board.close)
            first_spawners = []
            for service in founded:
                spawner = service.crew.make_spawner(service.settings, service.listener, 0)
                first_spawners.append(spawner)
                undoing.callback(service.crew.discard, spawner)
            undoing.pop_all()
        for service in lost:
            log.emit("listener_lost", service=service.name, listener=str(service.listener))
            service.stop("reload")
        for key in changes.removed:
            present[key].stop("reload")
        for settings, spawner in zip(changes.kept, spawners, strict=True):
            present[settings.key].reload(settings, spawner)
        for service, spawner in zip(founded, first_spawners, strict=True):
            service.start(spawner)
        return changes

    def stop(self, reason: str) -> None:
        """Stop all services, or with more haste; those that others ask are the last."""
        self._stop_reason = reason
        living = [one for one in self.services if not one.is_finished]
        outer = [one for one in living if not one.settings.is_inner]
        for service in outer or living:
            service.stop(reason)

    def stop_inner(self) -> None:
        """Stop those that others ask once there are no others any more."""
        if self._stop_reason and all(
            one.is_finished or (one.settings.is_inner and not one.is_stopping)
            for one in self.services
        ):
            for service in self.services:
                if not service.is_finished:
                    service.stop(self._stop_reason)

    def forget_finished(self) -> None:
        """Forget the services whose last worker is gone."""
        for service in [one for one in self.services if one.is_finished]:
            self._remove(service)

    def attribute(self, pid: int) -> tuple[Service, int | None] | None:
        """Return whose child it is, with the slot of a worker, and None in place of it for others.

        A worker that has never accepted is known by what it says of itself alone, so all who may
        have nobody else to speak for them are noted when the first of them is asked for.
        """
        child = self._children.find(pid)
        if child is None:
            for service in self.services:
                if not service.is_finished:
                    service.crew.note_all()
            child = self._children.find(pid)
        if child is None or child.family not in self._by_family:
            return None
        return self._by_family[child.family], child.slot

    def forget_child(self, pid: int) -> None:
        """Forget a child that has been collected."""
        self._children.forget(pid)

    def bequeath(self) -> list[Heir]:
        """Return all that a successor needs to go on."""
        return [
            Heir(service.settings, service.listener.state(), service.state())
            for service in self.services
        ]

    def inherit(self, heirs: list[Heir]) -> None:
        """Go on where a predecessor has stopped, with a new generation of workers in each.

        Raises SystemFailureError if there is nobody to make workers.
        """
        for heir in heirs:
            settings, state = heir.settings, heir.state
            listener = resume(heir.listener, settings.address)
            self._add(settings, listener, state.crew).resume(state)
        for service in self.services:
            if service.is_listening:
                spawner = service.crew.make_spawner(
                    service.settings, service.listener, service.next_generation
                )
                service.reload(service.settings, spawner)

    def _add(
        self, settings: ServiceSettings, listener: Listener, state: CrewState | None = None
    ) -> Service:
        family = self._children.found_family()
        most = settings.pool.maximum
        crew = Crew(settings.name, most, self._doorbell_fd, self._wheel, family, state)
        service = Service(settings, listener, crew, self._wheel)
        self.services.append(service)
        self._by_family[family] = service
        return service

    def _remove(self, service: Service) -> None:
        self.services.remove(service)
        del self._by_family[service.crew.family]
