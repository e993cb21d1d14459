"""What questions cost, in the benchmark: every figure has its row, and an interval is one."""

import os
import shutil

import pytest

from bench import asked
from harness.servers import SOCKET
from socketd.system.products import is_built


def test_interval_is_around_the_median_and_shrinks() -> None:
    """It is where the median of other samples would be; the more there are, the narrower."""
    few = asked.interval([0.9, 1.0, 1.1])
    many = asked.interval([0.9, 1.0, 1.1] * 30)

    assert few == (0.9, 1.1)
    assert few[0] <= many[0] <= 1.0 <= many[1] <= few[1]


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which(os.environ.get("CC", "cc")) is None, reason="no C compiler for the load program"
)
def test_every_figure_is_compared() -> None:
    """With questions and with scrapes, beside a load without an error."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    said: list[str] = []
    rows = asked.compare(SOCKET, 1, 0.1, said.append).splitlines()[2:]

    assert said == [one.title for one in asked.CURIOUS]
    assert [row.split(" | ")[1] for row in rows] == [*asked.FIGURES] * 2
