"""Which programs get a template of their own, and which one gives way to which."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketd.pool.favourites import MANY, WINDOW_SECONDS, Begin, Drop, Favourites, FavouritesCommand

ONE, TWO = (1,), (2,)


def asked(favourites: Favourites, program: str, now: float, times: int = MANY) -> bool:
    """Ask so often at once; tell whether the program is worth a look at last."""
    return [favourites.is_worth_a_look(program, now) for _ in range(times)][-1]


def test_program_that_is_asked_for_often_gets_one() -> None:
    """Not before the last of many times."""
    favourites = Favourites(2, 30.0)
    assert not asked(favourites, "a", 0.0, MANY - 1)
    assert favourites.is_worth_a_look("a", 0.0)

    assert favourites.seen("a", ONE, 0.0) == [Begin("a", ONE)]
    assert favourites.seen("a", ONE, 0.0) == []


def test_program_that_is_asked_for_now_and_then_gets_none() -> None:
    """Only what comes within the window counts."""
    favourites = Favourites(2, 30.0)
    step = WINDOW_SECONDS / (MANY - 1) + 0.01

    assert not any(favourites.is_worth_a_look("a", step * turn) for turn in range(100))


def test_changed_file_gets_another_one_at_once() -> None:
    """Whoever asks has found no template of the file as it is."""
    favourites = Favourites(2, 30.0)
    asked(favourites, "a", 0.0)
    favourites.seen("a", ONE, 0.0)

    assert favourites.is_worth_a_look("a", 1.0)
    expected = [Drop("a", "its file has changed"), Begin("a", TWO)]
    assert favourites.seen("a", TWO, 1.0) == expected


def test_hopeless_program_is_left_alone_until_its_file_changes() -> None:
    """However often it is asked for."""
    favourites = Favourites(2, 30.0)
    asked(favourites, "a", 0.0)
    favourites.seen("a", ONE, 0.0)
    favourites.fail("a")

    assert asked(favourites, "a", 1.0)
    assert favourites.seen("a", ONE, 1.0) == []
    assert asked(favourites, "a", 2.0)
    assert favourites.seen("a", TWO, 2.0) == [Begin("a", TWO)]


def test_one_that_was_withdrawn_may_come_again() -> None:
    """It has failed for a reason that passes."""
    favourites = Favourites(2, 30.0)
    asked(favourites, "a", 0.0)
    favourites.seen("a", ONE, 0.0)
    favourites.withdraw("a")

    assert asked(favourites, "a", 1.0)
    assert favourites.seen("a", ONE, 1.0) == [Begin("a", ONE)]


def test_only_one_that_is_not_used_gives_way() -> None:
    """Programs that are all in use do not take places from each other."""
    favourites = Favourites(2, 60.0)
    favourites.seen("a", ONE, 0.0)
    favourites.seen("b", ONE, 0.0)
    favourites.use("a", 9.0)
    assert favourites.seen("c", ONE, WINDOW_SECONDS - 0.1) == []

    now = WINDOW_SECONDS + 0.1
    reason = "another program is asked for more often"
    assert favourites.seen("c", ONE, now) == [Drop("b", reason), Begin("c", ONE)]
    assert favourites.seen("d", ONE, now) == []


def test_idle_one_is_dropped() -> None:
    """When it has not been used for so long, and not before."""
    favourites = Favourites(2, 30.0)
    favourites.seen("a", ONE, 0.0)
    favourites.use("a", 10.0)
    assert favourites.due_seconds == 40.0
    assert favourites.expire(39.0) == []

    assert favourites.expire(40.0) == [Drop("a", "nobody has asked for it")]
    assert favourites.due_seconds is None


def test_reload_forgets_all() -> None:
    """The hopeless may be tried again, too: what they are confined to may have changed."""
    favourites = Favourites(2, 30.0)
    favourites.seen("a", ONE, 0.0)
    favourites.seen("b", ONE, 0.0)
    favourites.fail("b")

    assert favourites.forget() == [Drop("a", "the service has been reloaded")]
    assert len(favourites) == 0
    assert favourites.seen("b", ONE, 0.0) == [Begin("b", ONE)]


@pytest.mark.parametrize("most", [0, 1, 3])
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from("ask use fail idle withdraw".split()),
            st.sampled_from("abcdefgh"),
            st.integers(1, 2),
            st.floats(0.0, 20.0),
        ),
        max_size=120,
    )
)
def test_there_are_never_more_than_the_most(
    most: int, steps: list[tuple[str, str, int, float]]
) -> None:
    """What begins and what is dropped tells at any time which there are."""
    favourites = Favourites(most, 30.0)
    present: dict[str, tuple[int, ...]] = {}
    now = 0.0
    for what, program, version, passed in steps:
        now += passed
        commands: list[FavouritesCommand] = []
        if what == "ask" and asked(favourites, program, now):
            commands = favourites.seen(program, (version,), now)
        elif what == "use":
            favourites.use(program, now)
        elif what == "idle":
            commands = favourites.expire(now)
        elif what == "fail":
            favourites.fail(program)
            present.pop(program, None)
        elif what == "withdraw":
            favourites.withdraw(program)
            present.pop(program, None)
        for command in commands:
            if isinstance(command, Begin):
                assert command.program not in present
                present[command.program] = command.version
            else:
                del present[command.program]
        assert len(present) == len(favourites) <= most


def test_without_a_place_nobody_gets_one() -> None:
    """However often a program is asked for."""
    favourites = Favourites(0, 30.0)

    assert asked(favourites, "a", 0.0)
    assert favourites.seen("a", ONE, 0.0) == []
    assert len(favourites) == 0


def test_what_is_remembered_of_others_has_a_bound() -> None:
    """Of programs that were asked for, and of those that are hopeless, the oldest is forgotten."""
    favourites = Favourites(1, 30.0)
    asked(favourites, "first", 0.0, MANY - 1)
    for number in range(300):
        favourites.is_worth_a_look(f"one of many {number}", 0.0)
    assert not favourites.is_worth_a_look("first", 0.0)

    for number in range(300):
        assert favourites.seen(f"hopeless {number}", ONE, 0.0) != []
        favourites.fail(f"hopeless {number}")
    assert favourites.seen("hopeless 299", ONE, 0.0) == []
    assert favourites.seen("hopeless 0", ONE, 0.0) == [Begin("hopeless 0", ONE)]


def test_news_of_who_is_no_favourite_is_no_news() -> None:
    """It may have been given up a moment ago."""
    favourites = Favourites(1, 30.0)
    favourites.use("a", 0.0)
    favourites.withdraw("a")
    favourites.fail("a")

    assert len(favourites) == 0
    assert favourites.due_seconds is None
