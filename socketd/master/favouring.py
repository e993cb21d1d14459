"""A service and its favourites: programs that requests name so often that each has a template.

Owns who belongs to a service, and carries out what pool/favourites.py decides and what the one
maximum of all their workers asks for (pool/allotment.py). Must not know how often is often, nor how
a connection passes between them.

A favourite is a member like the service itself, with a pool and a template, on a listening socket
that workers of the service call: native/front/favourites.c. It is a cache: it may be given up at
any time, and the workers execute the program themselves then. So a reload begins without any, a
re-exec passes none on, and one that crashes is dropped.

Workers say which program they have found no template of. The master looks at some of it at a time,
so a service that executes many programs costs it few turns for that.
"""

import time
from collections.abc import Callable

from socketd.config.fronts import has_favourites
from socketd.config.services import ServiceSettings
from socketd.dataclass import replace
from socketd.errors import SocketdError, describe_refusal
from socketd.loop.listeners import Listener
from socketd.loop.rendezvous import Rendezvous, Wishes, new_token, version_of
from socketd.loop.sources import READABLE, Source, Sources
from socketd.loop.wheel import OwnTimers, Timer
from socketd.master.barrier import Barrier, report_crash
from socketd.master.member import Member, Role
from socketd.master.shared import Shared
from socketd.operations import log
from socketd.pool.allotment import Allotment
from socketd.pool.favourites import Begin, Drop, Favourites, FavouritesCommand, Version
from socketd.pool.messages import LeaveRequested, RoomMade, RoomWanted
from socketd.pool.tally import Tally
from socketd.programs.allowed import look_at
from socketd.programs.command import Program
from socketd.settings.admission import OPEN
from socketd.settings.readiness import Readiness, ReadyLevel
from socketd.system import procfs
from socketd.workers.spawner import Handing

_MOST_WISHES = 32
_REST_SECONDS = 0.25
_MOST_AT_REST = 8
_MOST_PRIVATE_KIB = 16 * 1024


class Favouring:
    """One listener of a service, and its favourites.

    `join` is called with a member that is new, `leave` with one that is over.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        listener: Listener,
        shared: Shared,
        sources: Sources,
        join: Callable[[Member], None],
        leave: Callable[[Member], None],
        *,
        is_first: bool = False,
        tally: Tally | None = None,
    ) -> None:
        self._shared = shared
        self._sources = sources
        self._join = join
        self._leave = leave
        self._token = new_token()
        self._allotment = Allotment(settings.pool.room)
        role = Role(Handing(self._token), self._allotment, self._tend, self.stop)
        self.head = Member(settings, listener, shared, role, is_first=is_first, tally=tally)
        self._barrier = Barrier(self._do_without)
        self._timers = OwnTimers(shared.wheel, self._run)
        self._policy = Favourites(0, 0.0)
        self._settings = settings
        self._present: dict[str, Member] = {}
        self._coming: set[str] = set()
        self._leaving: list[Member] = []
        self._wishes: Wishes | None = None
        self._source: Source | None = None
        self._idle: Timer | None = None
        self._is_tending = False

    def allot(self, settings: ServiceSettings) -> None:
        """Have as much room for workers as these settings give, before a pool asks for it."""
        self._allotment.maximum = settings.pool.room

    def open(self, settings: ServiceSettings) -> None:
        """Begin to have favourites as these settings have it, and none of those before."""
        with self._barrier:
            self._carry_out(self._policy.forget())
            self._settings = settings
            folders = None if settings.front is None else settings.front.folders
            if folders is None or not has_favourites(settings):
                self._close_wishes()
                return
            self._policy = Favourites(folders.templates, settings.pool.idle_seconds)
            self._hear_wishes()

    def _hear_wishes(self) -> None:
        """Be there for what workers say.

        The address stays where it is over a reload: it is not free again at once after a close,
        since a child on its way to its exec has a descriptor of it.
        """
        if self._wishes is not None:
            return
        try:
            self._wishes = Wishes(self._token, self._is_ours)
        except OSError as error:
            self._refuse(None, describe_refusal(error.errno or 0))
            return
        self._source = self._sources.add(self._wishes.fileno(), self._hear, READABLE)

    def stop(self, reason: str) -> None:
        """Begin to stop, or stop with more haste."""
        with self._barrier:
            self._close_wishes()
            for member in (*self._present.values(), *self._leaving):
                member.count_in(self.head)
        self.head.stop(reason)
        with self._barrier:
            for member in (*self._present.values(), *self._leaving):
                member.stop(reason)

    def give_up(self) -> tuple[int, ...]:
        """Have no favourites any more, at once; return the process ids that are left of them."""
        with self._barrier:
            self._carry_out(self._policy.forget())
            self._close_wishes()
        for member in self._leaving:
            member.count_in(self.head)
            member.give_up()
        return tuple(pid for member in self._leaving for pid in member.remains)

    def _run(self, action: Callable[[], None]) -> None:
        with self._barrier:
            action()

    def _do_without(self, error: Exception) -> None:
        """Go on without favourites after a fault in here."""
        head = self.head
        head.crashes += 1
        report_crash((head.settings.name, head.listener), error, None, 0)
        self._timers.cancel_all()
        self._policy = Favourites(0, 0.0)
        self._leaving += self._present.values()
        self._present.clear()
        self._close_wishes()
        for member in self._leaving:
            member.note(LeaveRequested())

    def _is_ours(self, uid: int) -> bool:
        return self.head.has_user(uid)

    def _close_wishes(self) -> None:
        if self._source is not None:
            self._source.remove()
            self._source = None
        if self._wishes is not None:
            self._wishes.close()
            self._wishes = None

    def _hear(self, _events: int) -> None:
        """Look at what workers have said, and at nothing more for a while."""
        with self._barrier:
            source, wishes = self._source, self._wishes
            if source is None or wishes is None:
                return
            source.watch(0)
            now = time.monotonic()
            self._timers.add(now + _REST_SECONDS, self._listen)
            for path in wishes.take(_MOST_WISHES):
                if self._policy.is_worth_a_look(path, now):
                    self._look_at(path, now)

    def _listen(self) -> None:
        if self._source is not None:
            self._source.watch(READABLE)

    def _look_at(self, path: str, now: float) -> None:
        folders = None if self._settings.front is None else self._settings.front.folders
        found = None if folders is None else look_at(path, folders)
        if found is not None:
            self._note_uses(now)
            self._carry_out(self._policy.seen(path, version_of(found), now))

    def _note_uses(self, now: float) -> None:
        """Find out which templates have been in use since the last look."""
        for program, member in self._present.items():
            if member.count_in(self.head) or member.size.busy:
                self._policy.use(program, now)

    def _carry_out(self, commands: list[FavouritesCommand]) -> None:
        for command in commands:
            match command:
                case Begin(program, version):
                    self._begin(program, version)
                case Drop(program, reason):
                    self._drop(program, reason)
        self._watch_idle()

    def _watch_idle(self) -> None:
        due = self._policy.due_seconds
        if self._idle is None and due is not None:
            self._idle = self._timers.add(due, self._expire)

    def _expire(self) -> None:
        self._idle = None
        now = time.monotonic()
        self._note_uses(now)
        self._carry_out(self._policy.expire(now))

    def _begin(self, program: str, version: Version) -> None:
        settings = self._settings_of(program)
        try:
            listener = Rendezvous(self._token, program, version, self.head.listener)
        except OSError as error:
            self._policy.withdraw(program)  # another of that name is still on its way out
            self._refuse(program, describe_refusal(error.errno or 0))
            return
        handing = Handing(self._token, is_favourite=True)
        role = Role(handing, self._allotment, self._tend, self.stop)
        member = Member(settings, listener, self._shared, role, tally=self.head.tally)
        try:
            member.create()
            spawner = member.prepare(settings)
        except SocketdError as error:
            member.abandon()
            member.leave_allotment()
            listener.close()
            self._policy.fail(program)
            self._refuse(program, str(error))
            return
        self._present[program] = member
        self._coming.add(program)
        self._join(member)
        member.begin(spawner)

    def _settings_of(self, program: str) -> ServiceSettings:
        """Return the settings of the pool of one program."""
        settings = self._settings
        readiness = settings.readiness
        return replace(
            settings,
            program=Program(program, (program,)),
            pool=replace(settings.pool, minimum=self._least()),
            admission=OPEN,  # who hands a connection over has let its client in
            readiness=Readiness(
                ReadyLevel.LOAD,
                is_strict=True,
                hold_seconds=readiness.hold_seconds,
                renew_seconds=readiness.renew_seconds,
            ),
        )

    def _least(self) -> int:
        """Return how many copies of a program wait at rest: as many as workers, if all can."""
        pool, front = self._settings.pool, self._settings.front
        assert front is not None and front.folders is not None  # noqa: PT018  it has favourites
        room = (pool.maximum - pool.minimum) // front.folders.templates
        return max(1, min(pool.minimum, room, _MOST_AT_REST))

    def _drop(self, program: str, reason: str) -> None:
        member = self._present.pop(program, None)
        self._coming.discard(program)
        if member is None:
            return
        self._leaving.append(member)
        name = self._settings.name
        log.emit("favourite_dropped", service=name, program=program, reason=reason)
        member.note(LeaveRequested())

    def _refuse(self, program: str | None, reason: str) -> None:
        name = self._settings.name
        log.emit("favourite_refused", service=name, program=program, reason=reason)

    def _tend(self) -> None:
        """See what has become of the members, and to whom there is room for workers."""
        if self._is_tending or not (self._present or self._leaving):
            return
        self._is_tending = True
        try:
            with self._barrier:
                self._forget_finished()
                self._share_room()
        finally:
            self._is_tending = False

    def _forget_finished(self) -> None:
        for program, member in tuple(self._present.items()):
            reason = self._why_not(program, member)
            if reason is not None:
                self._policy.fail(program)
                self._refuse(program, reason)
                self._drop(program, "it cannot have a template")
        for member in tuple(self._leaving):
            if member.is_finished:
                self._leaving.remove(member)
                member.count_in(self.head)
                member.leave_allotment()
                self._leave(member)

    def _why_not(self, program: str, member: Member) -> str | None:
        """Return why a program has no template, None for one that has, or may have soon."""
        if member.failure is not None:
            return str(member.failure)
        if member.is_put_away:
            return "its pool has crashed"
        if program not in self._coming or not member.is_ready:
            return None
        self._coming.discard(program)
        sizes = [procfs.private_kib(pid) or 0 for pid in member.template_pids]
        if sum(sizes) <= _MOST_PRIVATE_KIB:
            return None
        return f"its template has more than {_MOST_PRIVATE_KIB} KiB for itself"

    def _share_room(self) -> None:
        """Have workers that wait make room for those that are missed more."""
        sizes = {one: one.size for one in self._present.values()} if self.head.unmet else {}
        lacking = self.head.unmet - self._allotment.room
        lacking -= sum(size.leaving for size in sizes.values())
        for member, size in sizes.items():
            if size.idle and lacking > 0:
                member.note(RoomWanted(lacking))
                lacking -= size.idle
        for member in (self.head, *self._present.values()):
            if member.unmet and self._allotment.room:
                member.note(RoomMade())
