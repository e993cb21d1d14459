"""What the compiler's analyser has to say."""

import shutil
import subprocess

import pytest

from .conftest import NATIVE


@pytest.mark.slow
def test_the_analyser_finds_nothing() -> None:
    """No path through the code leaks, or uses what is not there."""
    gcc, make = shutil.which("gcc"), shutil.which("make")
    if gcc is None or make is None:
        pytest.skip("no gcc or no make")
    command = [make, "-C", str(NATIVE), "analyze", f"CC={gcc}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
