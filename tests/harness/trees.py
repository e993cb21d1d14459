"""A Debian of another age, in a folder: its programs, its libc, and no service of it.

Made once, in pytest's cache, for every process that tests and for the runs that follow.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from socketd.system.products import HOLD_OBJECT, ZYGOTE

_FOLDER = Path(__file__).parents[2] / ".pytest_cache" / "trees"
TREE_SECONDS = 600.0


def debian(suite: str, packages: str) -> Path:
    """Return a tree of a release that holds what holds programs here, or skip the test."""
    if shutil.which("debootstrap") is None:
        pytest.skip("debootstrap is not installed")
    if os.geteuid() != 0:
        pytest.skip("needs root: a root folder of its own")
    _FOLDER.mkdir(parents=True, exist_ok=True)
    tree = _FOLDER / suite
    with open(_FOLDER / f"{suite}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tree.is_dir():
            _make(tree, suite, packages)
    for product in (HOLD_OBJECT, ZYGOTE):
        _copy(product, tree / product.lstrip("/"))
    return tree


def _make(tree: Path, suite: str, packages: str) -> None:
    unfinished = tree.with_name(f"{suite}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    command = ["debootstrap", "--variant=minbase", f"--include={packages}", suite, str(unfinished)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"debootstrap cannot make a tree of {suite}: {done.stdout[-300:]}")
    unfinished.rename(tree)


def _copy(product: str, place: Path) -> None:
    """Put it there whole, whoever does the same."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as folder:
        shutil.copy(product, folder)
        os.replace(Path(folder) / place.name, place)
