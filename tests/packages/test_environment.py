"""The environment that `make run` makes, with what everybody has who has Python."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from harness.native import BUILD_SECONDS
from release.environment import bundled_pip

ROOT = Path(__file__).parents[2]
_METADATA = "Metadata-Version: 2.1\nName: tiny\nVersion: 1\n"
_WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(BUILD_SECONDS)]


@pytest.mark.parametrize("is_asked_for", [False, True])
def test_environment_has_pip_only_if_asked_for(tmp_path: Path, *, is_asked_for: bool) -> None:
    """What is asked for can be imported, be it the pip that is used; else that is not there."""
    bundled = bundled_pip()
    if bundled is None:
        pytest.skip("this Python brings no pip along")
    wheel = tmp_path / "tiny-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny.py", "")
        archive.writestr("tiny-1.dist-info/METADATA", _METADATA)
        archive.writestr("tiny-1.dist-info/WHEEL", _WHEEL)
        archive.writestr("tiny-1.dist-info/RECORD", "")
    place = tmp_path / "environment"
    script = ROOT / "release" / "environment.py"
    subprocess.run(
        [sys.executable, script, place, "--no-index", wheel, *([bundled] if is_asked_for else [])],
        check=True,
    )
    asked = "import importlib.util, tiny; print(importlib.util.find_spec('pip') is not None)"
    answer = subprocess.run(
        [place / "bin" / "python", "-c", asked], capture_output=True, text=True, check=True
    )

    assert answer.stdout == f"{is_asked_for}\n"
