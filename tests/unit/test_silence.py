"""When a silent connection is looked at, and which limit it has passed."""

from socketd.pool.messages import (
    ArmTimer,
    Command,
    DisarmTimer,
    LookAtTraffic,
    PoolTimer,
    TimerExpired,
    WorkerAccepted,
    WorkerExited,
    WorkerStarted,
)
from socketd.pool.settings import PoolSettings
from socketd.pool.silence import MOST_LOOKS, Silence, Traffic
from socketd.pool.timelimit import EndReason

EXPIRED = TimerExpired(PoolTimer.TRAFFIC)


def silence_of(idle: float | None = None, first_byte: float | None = None) -> Silence:
    """Return the limits for a pool of any size."""
    return Silence(PoolSettings(1, 8, silence_seconds=idle, first_byte_seconds=first_byte))


def arm(due_seconds: float) -> list[Command]:
    """Return the command that arms the timer."""
    return [ArmTimer(PoolTimer.TRAFFIC, due_seconds)]


def test_without_a_limit_nobody_is_looked_at() -> None:
    """A master that serves has no timer for it."""
    silence = silence_of()

    assert silence.handle(WorkerAccepted(0), 1.0) == []
    assert silence.handle(WorkerExited(0, 0), 2.0) == []


def test_a_connection_that_ends_in_time_is_never_looked_at() -> None:
    """And leaves no timer."""
    silence = silence_of(idle=10.0)

    assert silence.handle(WorkerStarted(0), 0.0) == []
    assert silence.handle(WorkerAccepted(0), 1.0) == arm(11.0)
    assert silence.handle(WorkerExited(0, 0), 2.0) == [DisarmTimer(PoolTimer.TRAFFIC)]


def test_a_connection_is_looked_at_when_it_may_have_been_silent_for_too_long() -> None:
    """The last byte that is known of, plus the limit."""
    silence = silence_of(idle=10.0)
    silence.handle(WorkerAccepted(3), 0.0)

    assert silence.handle(EXPIRED, 10.0) == [LookAtTraffic((3,))]
    assert silence.judge(3, Traffic(5, 7, 4.0), 10.0) == (None, arm(16.0))
    assert silence.handle(EXPIRED, 16.0) == [LookAtTraffic((3,))]
    assert silence.judge(3, Traffic(5, 7, 10.0), 16.0) == (EndReason.IDLE, [])


def test_what_is_only_sent_again_is_no_traffic() -> None:
    """A client that has vanished is sent the same bytes again and again."""
    silence = silence_of(idle=10.0)
    silence.handle(WorkerAccepted(3), 0.0)
    silence.handle(EXPIRED, 10.0)
    silence.judge(3, Traffic(5, 7, 4.0), 10.0)
    silence.handle(EXPIRED, 16.0)

    assert silence.judge(3, Traffic(5, 7, 0.1), 16.0) == (EndReason.IDLE, [])


def test_silence_in_the_queue_does_not_count() -> None:
    """A connection may have waited longer than the limit before a worker took it."""
    silence = silence_of(idle=10.0)
    silence.handle(WorkerAccepted(3), 100.0)

    assert silence.judge(3, Traffic(5, 0, 60.0), 105.0) == (None, [])
    assert silence.handle(EXPIRED, 110.0) == [LookAtTraffic((3,))]


def test_client_that_says_nothing_is_ended() -> None:
    """By its own limit, however much the program has said."""
    silence = silence_of(idle=60.0, first_byte=2.0)
    silence.handle(WorkerAccepted(3), 0.0)

    assert silence.handle(EXPIRED, 2.0) == [LookAtTraffic((3,))]
    assert silence.judge(3, Traffic(0, 100, 0.5), 2.0) == (EndReason.FIRST_BYTE, [])


def test_client_that_has_spoken_is_not_asked_again() -> None:
    """Where there is no other limit nothing is left to look at."""
    silence = silence_of(first_byte=2.0)
    silence.handle(WorkerAccepted(3), 0.0)
    silence.handle(EXPIRED, 2.0)

    assert silence.judge(3, Traffic(1, 0, 0.5), 2.0) == (None, [])
    assert silence.handle(WorkerExited(3, 0), 9.0) == []


def test_what_cannot_be_seen_is_given_up_at_the_second_look() -> None:
    """A process that ends has closed its connection a moment before."""
    silence = silence_of(idle=10.0, first_byte=4.0)
    silence.handle(WorkerAccepted(3), 0.0)
    silence.handle(EXPIRED, 4.0)

    assert silence.miss(3, 4.0) == (False, arm(8.0))
    assert silence.handle(EXPIRED, 8.0) == [LookAtTraffic((3,))]
    assert silence.miss(3, 8.0) == (True, [])
    assert silence.miss(3, 9.0) == (False, [])


def test_what_is_seen_at_the_second_look_is_watched_on() -> None:
    """Its limits are what they were."""
    silence = silence_of(idle=10.0)
    silence.handle(WorkerAccepted(3), 0.0)
    silence.handle(EXPIRED, 10.0)
    assert silence.miss(3, 10.0) == (False, arm(20.0))
    assert silence.handle(EXPIRED, 20.0) == [LookAtTraffic((3,))]

    assert silence.judge(3, Traffic(5, 7, 4.0), 20.0) == (None, arm(26.0))


def test_reload_changes_later_connections() -> None:
    """Those under way keep the limit that they came with."""
    silence = silence_of(idle=10.0)
    assert silence.handle(WorkerAccepted(1), 0.0) == arm(10.0)
    silence.reload(PoolSettings(1, 8, silence_seconds=3.0))

    assert silence.handle(WorkerAccepted(2), 1.0) == arm(4.0)
    assert silence.handle(EXPIRED, 4.0) == [LookAtTraffic((2,)), *arm(10.0)]


def test_looks_of_one_turn_are_bounded() -> None:
    """The rest comes in the next turn, which the timer asks for at once."""
    silence = silence_of(idle=10.0)
    for worker in range(MOST_LOOKS + 1):
        silence.handle(WorkerAccepted(worker), 0.0)

    assert silence.handle(EXPIRED, 10.0) == [LookAtTraffic(tuple(range(MOST_LOOKS))), *arm(10.0)]
    assert silence.handle(EXPIRED, 10.0) == [LookAtTraffic((MOST_LOOKS,))]


def test_connection_that_has_ended_meanwhile_is_not_judged() -> None:
    """Its slot may have another by then."""
    silence = silence_of(idle=10.0)

    assert silence.judge(3, Traffic(0, 0, 99.0), 10.0) == (None, [])


def test_client_that_has_said_nothing_yet_has_time_left() -> None:
    """One that is looked at for another limit is not ended by this one before its time."""
    silence = silence_of(idle=2.0, first_byte=9.0)
    silence.handle(WorkerAccepted(3), 0.0)
    assert silence.handle(EXPIRED, 2.0) == [LookAtTraffic((3,))]

    assert silence.judge(3, Traffic(0, 100, 0.5), 2.0) == (None, arm(3.5))
