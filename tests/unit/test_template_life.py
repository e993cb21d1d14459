"""The life of templates as values: what follows from what, and what never happens."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from socketd.pool.template_life import ImpossibleTurnError, Stage, TemplateLife
from socketd.pool.template_memory import TemplateMemory
from socketd.pool.template_messages import (
    Abandon,
    Adopt,
    Arm,
    AskAgain,
    Begun,
    Closed,
    ComingDropped,
    CopyCrashed,
    Disarm,
    Discard,
    Dismiss,
    FilesChanged,
    Forget,
    Held,
    Launch,
    Launched,
    LetEnd,
    Look,
    NotLaunched,
    Refused,
    RenewalWanted,
    ReportFailed,
    ReportServing,
    ShortageOver,
    TemplateCommand,
    TemplateEnded,
    TemplateEvent,
    TemplateTimer,
    TimerDue,
)
from socketd.settings.readiness import Readiness, ReadyLevel

AT_READ = Readiness(ReadyLevel.READ)
ASK = Launch(ReadyLevel.LOAD, is_loader=True)


def serving(readiness: Readiness = AT_READ) -> TemplateLife:
    """Return a life whose first template, 1, has been held at once."""
    life = TemplateLife(readiness)
    life.handle(Begun(), 0.0)
    life.handle(Launched(1), 0.0)
    if readiness.level.is_held:
        life.handle(Held(), 0.0)
    return life


def load(life: TemplateLife, pid: int, now: float = 0.0) -> list[TemplateCommand]:
    """Have the loader, with this number, agree that the program can be held; go on."""
    life.handle(Launched(pid, is_loader=True), now)
    return life.handle(TemplateEnded(pid, 0), now)


def kinds(commands: list[TemplateCommand]) -> list[type]:
    """Return what is commanded, without the details."""
    return [type(command) for command in commands]


def test_level_without_holding_serves_at_once() -> None:
    """Our own zygote need not be waited for, and is not renewed."""
    life = TemplateLife(Readiness(ReadyLevel.FORK))
    assert life.handle(Begun(), 0.0) == [Launch(ReadyLevel.FORK)]

    commands = life.handle(Launched(7), 1.0)

    assert life.stage is Stage.SERVING
    assert kinds(commands) == [Disarm, Disarm, Adopt, ReportServing, AskAgain]


def test_each_level_is_tried_in_turn() -> None:
    """What cannot be held at one level is tried at the next, and the reasons are told together."""
    life = TemplateLife(AT_READ)
    assert life.handle(Begun(), 0.0) == [Launch(ReadyLevel.READ)]
    assert life.handle(NotLaunched("it is static"), 0.0) == [ASK]
    assert load(life, 7)[-2:] == [Forget(7), Launch(ReadyLevel.LOAD)]
    life.handle(Launched(2), 0.0)
    commands = life.handle(Refused("it has threads"), 0.5)
    assert kinds(commands) == [Disarm, Disarm, Discard, Launch]

    commands = life.handle(Launched(3), 1.0)

    assert ReportServing(3, ReadyLevel.FORK, ("it is static", "it has threads"), True) in commands
    assert life.level is ReadyLevel.FORK


def test_program_is_not_loaded_if_its_loader_is_against_it() -> None:
    """Nothing of it would be held then, so it would run."""
    life = TemplateLife(Readiness(ReadyLevel.LOAD))
    assert life.handle(Begun(), 0.0) == [ASK]
    assert life.handle(Launched(1, is_loader=True), 0.0) == [Arm(TemplateTimer.LIMIT, 10.0)]

    assert life.handle(TemplateEnded(1, 5, "not so"), 0.1)[-1] == Launch(ReadyLevel.FORK)


def test_strict_level_goes_down_to_none_and_is_tried_again() -> None:
    """With a mark behind the level there is no other, and a start says why it fails."""
    life = TemplateLife(Readiness(ReadyLevel.READ, is_strict=True))
    life.handle(Begun(), 0.0)
    life.handle(Launched(1), 0.0)

    commands = life.handle(TimerDue(TemplateTimer.LIMIT, "has not read its input"), 10.0)

    assert kinds(commands) == [Disarm, Disarm, Discard, Arm, ReportFailed]
    assert life.trouble == "--ready read!: it has not read its input within 10 s"
    assert kinds(life.handle(TimerDue(TemplateTimer.RETRY), 11.0)) == [Arm, ReportFailed]


def test_level_that_is_hopeless_is_not_tried_again_until_the_program_is_another() -> None:
    """Nor by the next life, after a reload; and the reason is news once."""
    memory = TemplateMemory()
    for is_news in (True, False):
        memory.meet("files")
        life = TemplateLife(AT_READ, memory=memory)
        if is_news:
            assert life.handle(Begun(), 0.0) == [Launch(ReadyLevel.READ)]
            life.handle(Launched(1), 0.0)
            assert life.handle(Refused("it has threads"), 0.0)[-1] == ASK
        else:
            assert life.handle(Begun(), 0.0) == [ASK]
        load(life, 7)
        life.handle(Launched(2), 0.0)

        commands = life.handle(Held(), 0.0)

        assert ReportServing(2, ReadyLevel.LOAD, ("it has threads",), is_news) in commands

    memory.meet("other files")

    assert life.handle(RenewalWanted(), 1.0) == [Launch(ReadyLevel.READ)]


@pytest.mark.parametrize(("status", "next_try"), [(0, ASK), (1, Launch(ReadyLevel.READ))])
def test_program_that_has_failed_on_its_way_is_tried_again(status: int, next_try: Launch) -> None:
    """A database may have been away; but one that has ended well needs no input."""
    memory = TemplateMemory()
    life = TemplateLife(AT_READ, memory=memory)
    life.handle(Begun(), 0.0)
    life.handle(Launched(1), 0.0)
    life.handle(TemplateEnded(1, status, "it has ended"), 0.0)

    assert TemplateLife(AT_READ, memory=memory).handle(Begun(), 1.0) == [next_try]


def test_reason_is_news_again_after_the_program_was_held() -> None:
    """What comes and goes is told each time that it comes."""
    memory = TemplateMemory()

    told = [
        memory.is_news(ReadyLevel.LOAD, reasons)
        for reasons in (("status 1",), ("status 1",), (), ("status 1",), ("status 2",))
    ]

    assert told == [True, False, False, True, True]


def test_end_of_a_failure_is_told_once() -> None:
    """By the first template that is ready after it."""
    life = TemplateLife(Readiness(ReadyLevel.FORK))
    life.handle(Begun(), 0.0)
    life.handle(NotLaunched("cannot start: no memory", is_final=True), 0.0)
    told = []
    for pid in (1, 2):
        life.handle(TimerDue(TemplateTimer.RETRY) if pid == 1 else RenewalWanted(), pid)
        told += [
            one.recovered_from
            for one in life.handle(Launched(pid), pid)
            if isinstance(one, ReportServing)
        ]

    assert told == ["cannot start: no memory", ""]


@pytest.mark.parametrize("is_auto", [False, True])
def test_wanted_level_that_is_reached_again_is_told(*, is_auto: bool) -> None:
    """Also by another version of the program; but a level that nobody asked for is no failure."""
    memory = TemplateMemory()
    memory.meet("files")
    life = TemplateLife(Readiness(ReadyLevel.STOP, is_auto=is_auto), memory=memory)
    life.handle(Begun(), 0.0)
    life.handle(Launched(1), 0.0)
    life.handle(TemplateEnded(1, 1, "it has ended"), 0.0)
    load(life, 7)
    life.handle(Launched(2), 0.0)
    life.handle(Held(), 0.0)
    memory.meet("other files")
    life.handle(RenewalWanted(), 1.0)
    life.handle(Launched(3), 1.0)

    (told,) = (one for one in life.handle(Held(), 2.0) if isinstance(one, ReportServing))

    assert told == ReportServing(3, ReadyLevel.STOP, (), False, "" if is_auto else "it has ended")


def test_renewal_leaves_the_old_template_only_for_one_that_is_held() -> None:
    """It serves as long as the new one is on its way, and goes on where that fails."""
    life = serving()
    assert life.handle(RenewalWanted(), 5.0) == [Launch(ReadyLevel.READ)]
    assert life.serving is not None
    life.handle(Launched(2), 5.0)
    assert life.handle(RenewalWanted(), 5.0) == []

    commands = life.handle(Held(), 6.0)

    assert commands[-1] == Dismiss(1)
    assert Adopt(2) in commands
    assert life.leaving == {1}


def test_program_on_its_way_is_looked_at_ever_less_often() -> None:
    """Each look arms the next one, up to the longest time between two."""
    life = TemplateLife(AT_READ)
    life.handle(Begun(), 0.0)
    life.handle(Launched(1), 0.0)
    waits = []
    for _ in range(30):
        [armed, looked] = life.handle(TimerDue(TemplateTimer.LOOK), 1.0)
        assert isinstance(armed, Arm)
        assert looked == Look(1)
        waits.append(armed.due_seconds - 1.0)

    assert waits == sorted(waits)
    assert waits[0] < 0.002
    assert waits[-1] == pytest.approx(0.02)


def test_template_is_renewed_when_its_time_has_come() -> None:
    """The timer begins the same renewal that is begun when it is wanted."""
    life = serving()

    assert life.handle(TimerDue(TemplateTimer.RENEW), 60.0) == [Launch(ReadyLevel.READ)]


def test_template_is_renewed_at_once_when_a_copy_has_crashed() -> None:
    """And not once more by what happens to other copies of the old one meanwhile."""
    life = serving()

    assert life.handle(CopyCrashed(), 5.0) == [Launch(ReadyLevel.READ)]
    life.handle(Launched(2), 5.0)
    assert life.handle(CopyCrashed(), 5.01) == []


def test_crash_of_a_copy_soon_after_a_renewal_waits_for_its_time() -> None:
    """A template serves for a tenth of a second, or as long as it took to be held; then it goes."""
    life = serving()
    life.handle(CopyCrashed(), 5.0)
    life.handle(Launched(2), 5.0)
    life.handle(Held(), 8.0)

    assert life.handle(CopyCrashed(), 10.9) == [Arm(TemplateTimer.RENEW, 11.0)]
    assert life.handle(CopyCrashed(), 10.9) == []
    assert life.handle(TimerDue(TemplateTimer.RENEW), 11.0) == [Launch(ReadyLevel.READ)]
    life.handle(Launched(3), 11.0)
    life.handle(Held(), 11.0)
    assert life.handle(CopyCrashed(), 11.01) == [Arm(TemplateTimer.RENEW, 11.1)]


def test_crash_of_a_copy_puts_no_renewal_off() -> None:
    """One that is due sooner stays as it is."""
    life = serving(Readiness(ReadyLevel.READ, renew_seconds=0.05))

    assert life.handle(CopyCrashed(), 0.0) == []


@pytest.mark.parametrize("level", [ReadyLevel.FORK, ReadyLevel.RELAY])
def test_crash_of_a_program_that_was_executed_renews_nothing(level: ReadyLevel) -> None:
    """It had a layout of its own, and so has the next one."""
    life = serving(Readiness(level))

    assert life.handle(CopyCrashed(), 5.0) == []


def test_crash_of_a_copy_starts_nothing_that_is_to_be_tried_later() -> None:
    """A renewal that has failed keeps its delay; nothing is begun where no template serves."""
    life = serving(Readiness(ReadyLevel.READ, is_strict=True))
    life.handle(RenewalWanted(), 5.0)
    life.handle(NotLaunched("no memory"), 5.0)

    assert life.handle(CopyCrashed(), 5.0) == []
    life.handle(TemplateEnded(1, -9), 5.0)
    assert life.handle(CopyCrashed(), 5.0) == []
    life.handle(Closed(), 5.0)
    assert life.handle(CopyCrashed(), 5.0) == []


def test_changed_files_renew_once_they_have_settled() -> None:
    """An installation changes many; each of the following changes waits until it is worth it."""
    life = serving()
    renewal = Arm(TemplateTimer.RENEW, 5.3)
    assert life.handle(FilesChanged(), 5.0) == [renewal]
    assert life.handle(FilesChanged(), 5.1) == []
    assert life.handle(TimerDue(TemplateTimer.RENEW), 5.3) == [Launch(ReadyLevel.READ)]
    life.handle(Launched(2), 5.3)
    life.handle(Held(), 5.4)

    assert life.handle(FilesChanged(), 6.0) == [Arm(TemplateTimer.RENEW, 15.3)]


def test_files_that_change_during_a_renewal_are_read_by_the_next() -> None:
    """What is on its way may have read the former ones."""
    life = serving()
    life.handle(RenewalWanted(), 5.0)
    life.handle(Launched(2), 5.0)
    assert life.handle(FilesChanged(), 5.1) == []

    assert Arm(TemplateTimer.RENEW, 5.5) in life.handle(Held(), 5.2)


def test_changed_files_are_nothing_to_who_starts_anyway() -> None:
    """Nor to one that is closed."""
    life = TemplateLife(AT_READ)

    assert life.handle(FilesChanged(), 0.0) == []
    life.handle(Closed(), 0.0)
    assert life.handle(FilesChanged(), 0.0) == []


def test_closing_before_any_template_has_served_abandons_at_once() -> None:
    """No process is left to wait for."""
    life = TemplateLife(AT_READ)
    life.handle(Begun(), 0.0)

    assert life.handle(Closed(), 0.0)[-1] == Abandon()


def test_failed_renewal_goes_on_with_the_old_template() -> None:
    """Nobody is dismissed, and the next attempt comes later."""
    life = serving(Readiness(ReadyLevel.READ, is_strict=True))
    life.handle(RenewalWanted(), 5.0)

    commands = life.handle(NotLaunched("no memory"), 5.0)

    assert kinds(commands) == [Arm, ReportFailed]
    assert life.stage is Stage.SERVING
    assert life.handle(RenewalWanted(), 5.1) == []


def test_failure_that_no_other_level_mends_is_final() -> None:
    """A process that cannot be started at all is not tried at a lower level."""
    life = TemplateLife(AT_READ)
    life.handle(Begun(), 0.0)

    commands = life.handle(NotLaunched("cannot start", is_final=True), 0.0)

    assert kinds(commands) == [Arm, ReportFailed]
    assert life.stage is Stage.ABSENT


def test_room_is_used_at_once_by_whom_the_machine_had_none_for() -> None:
    """The retry comes as soon as a process has ended; after another failure it waits."""
    life = TemplateLife(Readiness(ReadyLevel.FORK))
    life.handle(Begun(), 0.0)
    life.handle(NotLaunched("no room", is_final=True, is_short=True), 0.0)

    assert life.handle(ShortageOver(), 0.01) == [
        Disarm(TemplateTimer.RETRY),
        Launch(ReadyLevel.FORK),
    ]
    life.handle(NotLaunched("no file", is_final=True), 0.01)
    assert life.handle(ShortageOver(), 0.02) == []


def test_template_that_ends_is_replaced_after_a_delay() -> None:
    """The delay grows with each end, and starts over once a template has lived a while."""
    life = serving()
    delays = []
    now = 0.0
    for pid in (1, 2, 3):
        [*_, failed] = life.handle(TemplateEnded(pid, -9), now)
        assert isinstance(failed, ReportFailed)
        delays.append(failed.step)
        now += 0.5
        life.handle(TimerDue(TemplateTimer.RETRY), now)
        life.handle(Launched(pid + 1), now)
        life.handle(Held(), now)
    assert delays == [1, 2, 3]

    [*_, failed] = life.handle(TemplateEnded(4, -9), now + 2.0)

    assert isinstance(failed, ReportFailed)
    assert failed.step == 1


def test_end_of_the_server_during_a_renewal_waits_for_the_new_one() -> None:
    """No other attempt is made: one is on its way."""
    life = serving()
    life.handle(RenewalWanted(), 5.0)
    life.handle(Launched(2), 5.0)

    assert kinds(life.handle(TemplateEnded(1, 0), 6.0)) == [Disarm, Forget]
    assert life.stage is Stage.STARTING
    assert life.handle(Held(), 7.0)[-1] == AskAgain()


def test_program_that_ends_on_its_way_goes_down_a_level() -> None:
    """Its status is the reason."""
    life = TemplateLife(AT_READ)
    life.handle(Begun(), 0.0)
    life.handle(Launched(1), 0.0)

    commands = life.handle(TemplateEnded(1, 3, "it has ended"), 0.1)

    assert commands[-2:] == [Forget(1), ASK]


def test_program_on_its_way_is_given_up_and_tried_again_if_nobody_comes() -> None:
    """A successor could not speak to it; without a successor nothing is lost."""
    life = serving()
    life.handle(RenewalWanted(), 5.0)
    life.handle(Launched(2), 5.0)

    commands = life.handle(ComingDropped(), 5.5)

    assert commands[-2:] == [Discard(2), Arm(TemplateTimer.RETRY, 5.5)]
    assert life.handle(ComingDropped(), 5.5) == []


def test_closing_ends_everything_once() -> None:
    """The server gets no more numbers, who is on its way is killed, and nothing is armed."""
    life = serving()
    life.handle(RenewalWanted(), 5.0)
    life.handle(Launched(2), 5.0)

    commands = life.handle(Closed(), 6.0)

    assert kinds(commands) == [*[Disarm] * 6, Discard, LetEnd]
    assert life.handle(Closed(), 6.0) == []
    assert life.handle(TemplateEnded(2, -9), 6.0) == []
    assert life.handle(TemplateEnded(1, 0), 6.1)[-1] == Abandon()
    assert life.is_gone


def test_turn_that_is_not_in_the_table_is_a_bug() -> None:
    """It raises with the turn and the stage."""
    life = serving()
    life.handle(Closed(), 1.0)

    with pytest.raises(ImpossibleTurnError, match="'begin' while closed"):
        life.handle(Begun(), 1.0)


_ORDERS = [RenewalWanted(), CopyCrashed(), ComingDropped(), ShortageOver()]


class LifeMachine(RuleBasedStateMachine):
    """Any order of events that processes and timers can bring about."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.pids = 0
        self.alive: set[int] = set()
        self.armed: set[TemplateTimer] = set()
        self.abandoned = 0
        self.answers: list[bool] = []

    @initialize(
        level=st.sampled_from(ReadyLevel), is_strict=st.booleans(), answers=st.lists(st.booleans())
    )
    def begin(self, level: ReadyLevel, *, is_strict: bool, answers: list[bool]) -> None:
        """Begin at a level; `answers` say which launches succeed."""
        self.life = TemplateLife(Readiness(level, is_strict))
        self.answers = answers
        self.feed(Begun())

    def feed(self, event: TemplateEvent) -> None:
        """Feed an event and carry out what follows, as a spawner does."""
        for command in self.life.handle(event, self.now):
            match command:
                case Launch(_, is_loader):
                    self.launch(is_loader=is_loader)
                case Arm(timer):
                    self.armed.add(timer)
                case Disarm(timer):
                    self.armed.discard(timer)
                case Adopt(pid) | Dismiss(pid) | Discard(pid) | LetEnd(pid) | Look(pid):
                    assert pid in self.alive
                case Forget(pid):
                    assert pid not in self.alive
                case Abandon():
                    self.abandoned += 1
                case _:
                    pass

    def launch(self, *, is_loader: bool) -> None:
        """Start a process, or do not."""
        if self.answers and not self.answers.pop():
            is_final = len(self.answers) % 3 == 0
            self.feed(NotLaunched("no", is_final, is_short=is_final))
            return
        self.pids += 1
        self.alive.add(self.pids)
        self.feed(Launched(self.pids, is_loader))

    @rule(seconds=st.floats(0.0, 5000.0))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    @precondition(lambda self: TemplateTimer.LOOK in self.armed)
    @rule(is_held=st.booleans())
    def look(self, *, is_held: bool) -> None:
        """Find out that the program is held, or never will be."""
        self.feed(Held() if is_held else Refused("threads"))

    @precondition(lambda self: self.armed)
    @rule(data=st.data())
    def expire(self, data: st.DataObject) -> None:
        """Let a timer run out."""
        timer = data.draw(st.sampled_from(sorted(self.armed, key=lambda one: one.value)))
        self.armed.discard(timer)
        self.feed(TimerDue(timer, "has not read"))

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), status=st.sampled_from([0, 1, -9]))
    def end(self, data: st.DataObject, status: int) -> None:
        """End a process; a loader has nothing to say against the program if its status is 0."""
        pid = data.draw(st.sampled_from(sorted(self.alive)))
        self.alive.discard(pid)
        self.feed(TemplateEnded(pid, status, f"status {status}" if status else ""))

    @rule(event=st.sampled_from(_ORDERS))
    def order(self, event: TemplateEvent) -> None:
        """Want a renewal, or a re-exec, have room, or lose a copy."""
        self.feed(event)

    @rule()
    def close(self) -> None:
        """Want no more workers."""
        self.feed(Closed())

    @invariant()
    def every_process_has_its_place(self) -> None:
        """Whoever lives serves, comes or leaves, and nobody else is believed to."""
        life = self.life
        placed = [one.pid for one in (life.serving, life.coming) if one is not None]
        assert sorted([*placed, *life.leaving]) == sorted(self.alive)

    @invariant()
    def somebody_is_always_on_the_way(self) -> None:
        """Where nobody serves, one comes or an attempt is due; and nothing is armed in vain."""
        stage, armed = self.life.stage, self.armed
        coming = self.life.coming
        looking = {TemplateTimer.LOOK, TemplateTimer.LIMIT}
        if stage in (Stage.STARTING, Stage.RENEWING):
            assert coming is not None
            assert looking & armed == looking - (
                {TemplateTimer.LOOK} if coming.is_loader else set()
            )
            assert TemplateTimer.RETRY not in armed
        else:
            assert not looking & armed
        if stage is Stage.ABSENT:
            assert TemplateTimer.RETRY in armed
        if stage is Stage.CLOSED:
            assert not armed

    @invariant()
    def numbers_are_abandoned_when_all_are_gone(self) -> None:
        """Once, at the end."""
        is_over = self.life.stage is Stage.CLOSED and self.life.is_gone
        assert self.abandoned == int(is_over)


LifeMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestLifeMachine = LifeMachine.TestCase
