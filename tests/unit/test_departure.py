"""How a service leaves: what says that it is ready goes first, and its listener later."""

from socketd.pool.departure import Aim, Depart, Departure, DepartureState, Wait

DELAY = 10.0


def test_stop_without_a_delay_is_at_once() -> None:
    """Nothing is pending then."""
    departure = Departure()
    assert departure.stop(5.0, 0.0, "SIGTERM") == Depart(Aim.STOP, "SIGTERM")
    assert departure.state is None


def test_stop_waits_for_its_delay() -> None:
    """The listener is served until then, and it is known that it leaves."""
    departure = Departure()
    assert departure.stop(5.0, DELAY, "SIGTERM") == Wait(15.0)
    assert departure.state == DepartureState(Aim.STOP, 15.0, "SIGTERM")
    assert departure.expire() == Depart(Aim.STOP, "SIGTERM")
    assert departure.state is None


def test_second_stop_ends_the_delay() -> None:
    """It is the stop that the first one would have become."""
    departure = Departure()
    departure.stop(5.0, DELAY, "SIGTERM")
    assert departure.stop(6.0, DELAY, "SIGINT") == Depart(Aim.STOP, "SIGINT")
    assert departure.state is None


def test_drain_waits_as_well_and_is_hastened_as_well() -> None:
    """Whoever sends clients has to hear of a drain before they would wait in vain."""
    departure = Departure()
    assert departure.drain(5.0, DELAY) == Wait(15.0)
    assert departure.drain(6.0, DELAY) == Depart(Aim.DRAIN, "")
    assert departure.drain(7.0, 0.0) == Depart(Aim.DRAIN, "")


def test_resume_takes_back_a_drain_but_no_stop() -> None:
    """A stop that has begun goes on."""
    departure = Departure()
    departure.drain(5.0, DELAY)
    departure.stay()
    assert departure.state is None
    departure.stop(6.0, DELAY, "SIGTERM")
    departure.stay()
    assert departure.state == DepartureState(Aim.STOP, 16.0, "SIGTERM")


def test_service_that_is_wanted_again_stays() -> None:
    """Whatever was to come."""
    departure = Departure()
    departure.stop(6.0, DELAY, "reload")
    departure.forget()
    assert departure.expire() is None


def test_stop_of_who_is_to_be_drained_comes_no_later_than_the_drain() -> None:
    """They have been told since the drain was asked for."""
    departure = Departure()
    departure.drain(5.0, DELAY)
    assert departure.stop(12.0, DELAY, "SIGTERM") == Wait(15.0)
    assert departure.state == DepartureState(Aim.STOP, 15.0, "SIGTERM")


def test_another_process_goes_on_with_the_same_time() -> None:
    """A re-exec makes a delay neither longer nor shorter."""
    departure = Departure(DepartureState(Aim.DRAIN, 15.0, ""))
    assert departure.expire() == Depart(Aim.DRAIN, "")


def test_end_that_is_due_twice_is_one() -> None:
    """A timer that comes too late does nothing."""
    assert Departure().expire() is None


def test_drain_of_who_is_going_to_stop_changes_nothing() -> None:
    """It stops when it would have, and says so."""
    departure = Departure()
    departure.stop(5.0, DELAY, "SIGTERM")
    assert departure.drain(6.0, DELAY) == Wait(15.0)
    assert departure.state == DepartureState(Aim.STOP, 15.0, "SIGTERM")
