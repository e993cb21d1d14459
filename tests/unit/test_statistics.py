"""The numbers of a service, and the line that sums them up."""

import dataclasses

from socketd.config.services import ServiceSettings
from socketd.master.statistics import Statistics, describe
from socketd.pool.settings import PoolSettings
from socketd.programs.command import Program
from socketd.settings.address import InheritedAddress

NOBODY = Statistics.of_nobody(
    ServiceSettings(
        "test", InheritedAddress(""), Program("/bin/cat", ("cat",)), {}, PoolSettings(2, 5)
    ),
    "fd:test",
)


def test_listener_that_nobody_serves_has_its_limits() -> None:
    """What was asked for stands there, and nothing else."""
    assert (NOBODY.minimum, NOBODY.maximum, NOBODY.level) == (2, 5, None)
    assert describe([NOBODY]) == "0 idle, 0 busy, 0 connections so far"


def test_line_is_the_sum_of_all_listeners() -> None:
    """However many there are."""
    some = dataclasses.replace(NOBODY, idle=3, busy=2, connections=70)

    assert describe([some, NOBODY, some]) == "6 idle, 4 busy, 140 connections so far"
    assert describe([]) == "0 idle, 0 busy, 0 connections so far"
