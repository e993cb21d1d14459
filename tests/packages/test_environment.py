"""The environment that `make run` makes, with what everybody has who has Python."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from harness.native import BUILD_SECONDS

ROOT = Path(__file__).parents[2]
_METADATA = "Metadata-Version: 2.1\nName: tiny\nVersion: 1\n"
_WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(BUILD_SECONDS)]


def test_environment_has_what_was_asked_for_and_no_pip(tmp_path: Path) -> None:
    """What is installed can be imported; the pip that did it is not there, and leaves nothing."""
    wheel = tmp_path / "tiny-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny.py", "")
        archive.writestr("tiny-1.dist-info/METADATA", _METADATA)
        archive.writestr("tiny-1.dist-info/WHEEL", _WHEEL)
        archive.writestr("tiny-1.dist-info/RECORD", "")
    place = tmp_path / "environment"
    subprocess.run(
        [sys.executable, ROOT / "release" / "environment.py", place, "--no-index", wheel],
        check=True,
    )
    asked = "import importlib.util, tiny; print(importlib.util.find_spec('pip'))"
    answer = subprocess.run(
        [place / "bin" / "python", "-c", asked], capture_output=True, text=True, check=True
    )

    assert answer.stdout == "None\n"
