"""Clients that have connected to a sensor: on every gate, for a time, and so many at most."""

import mmap
import socket
import time

from socketd.master.sensing import Sensing
from socketd.programs.peer import Peer
from socketd.workers.gate import GATE_SIZE, Gate, Limits
from socketd.workers.sensed import MOST_SENSED
from socketd.workers.sources import ONE_HOST, name_of


def gate() -> Gate:
    """Return a gate of its own."""
    made = Gate(mmap.mmap(-1, GATE_SIZE), 0)
    made.limit(Limits())
    return made


def client(number: int) -> Peer:
    """Return one of many clients."""
    return Peer(socket.AF_INET, number.to_bytes(4, "big"))


def is_out(one: Gate, peer: Peer) -> bool:
    """Tell whether a gate keeps a client out."""
    return one.is_kept_out(name_of(peer, ONE_HOST))


def test_all_gates_know_who_was_sensed_whenever_they_have_joined() -> None:
    """And one that has gone is no trouble."""
    sensing, first, later = Sensing(), gate(), gate()
    memory = mmap.mmap(-1, GATE_SIZE)
    gone = Gate(memory, 0)
    sensing.join(first)
    sensing.join(gone)
    memory.close()
    assert sensing.sense(client(1), 60)
    sensing.join(later)

    assert [is_out(one, client(1)) for one in (first, later)] == [True, True]
    assert not is_out(first, client(2))
    assert not sensing.sense(client(1), 60)


def test_successor_goes_on_with_the_list() -> None:
    """With all whose time is not up."""
    now_ns = time.monotonic_ns()
    sensing = Sensing(clock_ns=lambda: now_ns)
    sensing.sense(client(1), 60)
    sensing.sense(client(2), 1)
    now_ns += 2 * 10**9
    successor, one = Sensing(sensing.passed_on), gate()
    successor.join(one)

    assert is_out(one, client(1))
    assert not is_out(one, client(2))
    assert sensing.sense(client(2), 1)


def test_time_that_is_longer_stays() -> None:
    """Of two sensors, whichever is met last."""
    sensing = Sensing()
    sensing.sense(client(1), 3600)
    before = sensing.passed_on
    sensing.sense(client(1), 1)

    assert sensing.passed_on == before


def test_list_is_bounded_and_loses_who_would_be_in_first() -> None:
    """However many come."""
    sensing = Sensing()
    for number in range(MOST_SENSED + 5):
        assert sensing.sense(client(number), 60 + number)

    assert len(sensing.passed_on) == MOST_SENSED
    assert sensing.sense(client(0), 60)


def test_user_of_this_machine_cannot_be_sensed() -> None:
    """It has no address by which services could know it."""
    sensing = Sensing()
    assert not sensing.sense(Peer(socket.AF_UNIX, uid=1), 60)
    assert not sensing.sense(Peer(), 60)
    assert sensing.passed_on == {}
