"""What the compiler's analyser has to say."""

import shutil

import pytest

from harness.native import BUILD_SECONDS, BUILDS


@pytest.mark.slow
@pytest.mark.timeout(BUILD_SECONDS)
def test_the_analyser_finds_nothing() -> None:
    """No path through the code leaks, or uses what is not there."""
    gcc = shutil.which("gcc")
    if gcc is None:
        pytest.skip("no gcc")

    # No product comes of it: what is kept is that it found nothing in these sources.
    BUILDS.get("analyze", f"CC={gcc}")
