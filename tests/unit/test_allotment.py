"""The room that several pools share: never exceeded, and the first of them comes first."""

from hypothesis import given
from hypothesis import strategies as st

from socketd.pool.allotment import Allotment, Share
from socketd.pool.messages import (
    LeaveRequested,
    RoomMade,
    RoomWanted,
    SpawnWorkers,
    WorkerAccepted,
    WorkerExited,
)
from socketd.pool.policy import Pool
from socketd.pool.settings import PoolSettings, Strategy


def test_pool_alone_gets_what_it_wants() -> None:
    """Without an allotment there is no limit but its own."""
    assert Share().grant(1000) == 1000


def test_pools_share_the_room() -> None:
    """What one has taken the other lacks."""
    allotment = Allotment(5)
    first, second = allotment.join(is_first=True), allotment.join()
    first.workers = range(first.grant(3))
    second.workers = range(second.grant(4))

    assert (len(first.workers), len(second.workers), second.unmet) == (3, 2, 2)
    assert allotment.is_short
    assert allotment.room == 0


def test_room_is_kept_for_what_the_first_lacks() -> None:
    """When one of the others has let a worker go, it is not the one to start the next."""
    allotment = Allotment(4)
    first, second = allotment.join(is_first=True), allotment.join()
    first.workers = range(1)
    second.workers = range(3)
    assert first.grant(1) == 0
    second.workers = range(2)

    assert second.grant(1) == 0
    assert first.grant(1) == 1


def test_another_first_takes_the_place_of_the_former() -> None:
    """As after a crash: the workers of the former are not counted any more."""
    allotment = Allotment(4)
    former = allotment.join(is_first=True)
    former.workers = range(4)
    former.grant(2)
    fresh = allotment.join(is_first=True)

    assert fresh.grant(4) == 4


def test_who_waits_makes_room_and_is_not_replaced() -> None:
    """A pool that is asked for room lets idle workers go, and the other gets it."""
    allotment = Allotment(3)
    settings = PoolSettings(1, 3, Strategy.EAGER)
    first = Pool(settings, share=allotment.join(is_first=True))
    second = Pool(PoolSettings(2, 3, Strategy.EAGER), share=allotment.join())
    first.start(0.0)
    second.start(0.0)
    first.handle(WorkerAccepted(0), 0.0)
    assert first.share.unmet == 1

    second.handle(RoomWanted(1), 0.0)
    assert second.handle(WorkerExited(1, 0), 0.0) == []
    spawned = first.handle(RoomMade(), 0.0)
    assert [command.workers for command in spawned if isinstance(command, SpawnWorkers)] == [(1,)]


def test_pool_that_leaves_starts_nobody() -> None:
    """Idle workers are asked to go, and nothing follows their ends."""
    pool = Pool(PoolSettings(2, 4, Strategy.EAGER))
    pool.start(0.0)
    pool.handle(WorkerAccepted(0), 0.0)
    pool.handle(LeaveRequested(), 0.0)

    for worker in (1, 2):
        commands = pool.handle(WorkerExited(worker, 0), 0.0)
        assert not any(isinstance(command, SpawnWorkers) for command in commands)


@given(
    most=st.integers(1, 12),
    steps=st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 99)), max_size=80
    ),
    strategy=st.sampled_from([Strategy.EAGER, Strategy.ADAPTIVE, Strategy.SURGE]),
)
def test_sum_is_never_more_than_the_maximum(
    most: int, steps: list[tuple[int, int, int]], strategy: Strategy
) -> None:
    """Whatever happens in whatever order, and though each pool alone may have as many."""
    allotment = Allotment(most)
    living: list[dict[int, str]] = [{}, {}, {}]
    pools = [
        Pool(PoolSettings(1, most, strategy), share=allotment.join(is_first=number == 0))
        for number in range(3)
    ]

    def take(number: int, commands: list[object]) -> None:
        for command in commands:
            if isinstance(command, SpawnWorkers):
                living[number].update(dict.fromkeys(command.workers, "idle"))
        assert sum(map(len, living)) <= most

    for number, pool in enumerate(pools):
        take(number, list(pool.start(0.0)))
    for kind, number, which in steps:
        pool, workers = pools[number], sorted(living[number])
        if kind == 2:
            take(number, list(pool.handle(RoomMade(), 0.0)))
        elif kind == 3:
            take(number, list(pool.handle(RoomWanted(1 + which % 3), 0.0)))
        elif workers and kind == 0:
            worker = workers[which % len(workers)]
            if living[number][worker] == "idle":
                living[number][worker] = "busy"
                take(number, list(pool.handle(WorkerAccepted(worker), 0.0)))
        elif workers:
            worker = workers[which % len(workers)]
            del living[number][worker]
            take(number, list(pool.handle(WorkerExited(worker, 0), 0.0)))


def test_pool_that_is_over_takes_no_room() -> None:
    """Whichever it was; and to leave twice is to leave once."""
    allotment = Allotment(4)
    first, second = allotment.join(is_first=True), allotment.join()
    second.workers = range(3)
    assert first.grant(4) == 1

    allotment.leave(second)
    allotment.leave(second)
    assert first.grant(4) == 4
