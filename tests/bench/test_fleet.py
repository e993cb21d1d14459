"""What is concluded from what happened to a fleet; `make fleet` has it happen."""

from dataclasses import replace

import pytest

from bench.fleet_record import HOSTS, Attempt, Deed, Sight, Story, mistakes, sights_of, summary

ANSWER = """# pxname,svname,status,weight,slim,
socketd_hosts,one,UP,75,8,
socketd_hosts,two,DRAIN (agent),100,8,
socketd_hosts,BACKEND,UP,175,,
"""


def good() -> Story:
    """Return a story in which all is as it should be."""
    deeds = [
        Deed("overloaded", "three", 10, 20),
        Deed("drained", "one", 30, 40),
        Deed("stopped, started", "two", 50, 60),
        Deed("killed", "three", 70, 80),
    ]
    sights = [Sight(at, host, "UP", 100) for at in (5, 90) for host in HOSTS]
    sights += [
        Sight(15, "three", "UP", 25),
        Sight(35, "one", "DRAIN (agent)", 100),
        Sight(55, "two", "DOWN", 100),
    ]
    attempts = [Attempt(69.9, 74, "", True), Attempt(74, 74.1, "one", False)]
    return Story(attempts, sorted(sights, key=lambda one: one.seconds), deeds)


def test_what_was_on_the_killed_host_is_no_mistake() -> None:
    """It is lost, and is served at the second attempt."""
    assert mistakes(good()) == []
    assert list(summary(good()))[:2] == [
        "1 clients served, 1 connections lost",
        "1 of these were on the host that was killed",
    ]


@pytest.mark.parametrize(
    ("attempt", "wrong"),
    [
        (Attempt(35, 36, "", True), "lost at 35.0 s, and no host was killed then"),
        (Attempt(69, 71, "", False), "a second attempt was lost at 69.0 s"),
    ],
)
def test_any_other_loss_is_one(attempt: Attempt, wrong: str) -> None:
    """A drain, an upgrade and an overload lose nobody."""
    story = good()
    story.attempts.append(attempt)
    assert mistakes(story) == [wrong]


def test_clients_have_to_follow_the_weights() -> None:
    """A host that most is taken of gets fewer than a quarter of all clients."""
    story = good()
    story.attempts += [Attempt(11 + at, 12 + at, host, True) for at in range(4) for host in HOSTS]
    assert mistakes(story) == [
        "three was sent as many clients as others: {'one': 4, 'two': 4, 'three': 4}"
    ]


def test_weights_have_to_follow() -> None:
    """Who is loaded gets less, who leaves gets nobody, and all are back at the end."""
    story = good()
    story.sights = [replace(one, status="UP", weight=100) for one in story.sights]
    story.sights[-1] = replace(story.sights[-1], status="DOWN")
    assert mistakes(story) == [
        "three had a weight of 100 when most of its workers were busy",
        "one was drained, and was sent clients all the time",
        "two was stopped, started, and was sent clients all the time",
        "three is DOWN at the end",
    ]


def test_statistics_of_haproxy_are_read() -> None:
    """Its hosts are, with what they are sent: nobody while one is not simply up."""
    one, two = sights_of(1.5, ANSWER)
    assert (one.host, one.share, two.host, two.share) == ("one", 75, "two", 0)
