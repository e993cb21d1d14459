"""Whatever somebody writes on the board of a service: it costs that service, and nobody else."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hearsay.arena import ATTACKS
from socketd.system.products import is_built

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.geteuid() != 0 or shutil.which("unshare") is None, reason="needs root and unshare"
    ),
]

ARENA = str(Path(__file__).parent / "arena.py")
CAP_SECONDS = 120.0
SEEDS = (1, 2)

# What one lie costs: a line for a worker that is known, or none where nobody looks at it.
ONE_LINE = (
    "accepts_twice",
    "busy_and_stillborn",
    "step_beyond_all",
    "unknown_family",
    "absurd_time",
)


@pytest.fixture(params=["native", "python"])
def kind(request: pytest.FixtureRequest) -> str:
    """Return each kind of worker in turn."""
    if request.param == "native" and not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    return str(request.param)


def verdict_of(attack: str, kind: str, seed: int = 1, when: str = "") -> dict[str, Any]:
    """Run an attack in a namespace of its own, where it can harm nobody, and return what came."""
    apart = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
    done = subprocess.run(
        [*apart, sys.executable, ARENA, attack, kind, str(seed), when],
        capture_output=True,
        text=True,
        timeout=CAP_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def assert_harmless(found: dict[str, Any]) -> None:
    """Fail if anybody was harmed but workers of the service whose board it was."""
    assert found["canaries"] == [None] * 3, found
    assert found["master"], found
    assert found["other"], found
    assert found["busy"], found
    assert found["lost"] == [], found
    assert found["loud"] == [], found
    # A template may find the board without a header, which is written anew before each start.
    assert set(found["noise"]) <= {"socketd-zygote: the board has another layout"}, found
    assert found["status"] == 0, found
    assert found["left"] == [], found


@pytest.mark.parametrize("attack", sorted(set(ATTACKS) - {"anything"}))
def test_what_cannot_be_true_costs_no_more_than_that_worker(attack: str, kind: str) -> None:
    """The master lives, no canary and nobody of another service is signalled, all are served."""
    found = verdict_of(attack, kind)

    assert_harmless(found)
    assert found["victim"], found
    if attack in ONE_LINE:
        assert len(found["distrusted"]) == 1, found


@pytest.mark.parametrize("seed", SEEDS)
def test_anything_anywhere_harms_nobody_else(kind: str, seed: int) -> None:
    """While connections come, at a reload and a re-exec; afterwards the service serves again."""
    found = verdict_of("anything", kind, seed)

    assert_harmless(found)
    assert found["victim"], found


@pytest.mark.parametrize("seed", SEEDS)
def test_anything_anywhere_does_not_keep_a_server_from_stopping(kind: str, seed: int) -> None:
    """The board is written to from the first stop signal to the end, with workers at work."""
    found = verdict_of("anything", kind, seed, "until the end")

    assert found["canaries"] == [None] * 3, found
    assert found["status"] == 0, found
    assert found["left"] == [], found
