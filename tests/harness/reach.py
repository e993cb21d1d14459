"""Whether programs of another user can read what this checkout holds them with."""

import os
from pathlib import Path

import pytest

from socketd.system.products import HOLD_OBJECT


def skip_if_out_of_reach() -> None:
    """Skip a test of root's whose program, as another user, cannot come by a folder on the way."""
    if os.geteuid() == 0 and not all(
        one.stat().st_mode & 0o001 for one in Path(HOLD_OBJECT).parents
    ):
        pytest.skip("root's folder: no other user can reach this checkout")
