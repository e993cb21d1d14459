"""What is compiled of native/ for tests: each product once, for every process that tests.

Owns the folder of builds in pytest's cache. A build lies there under a digest of all that goes into
it, so one of other sources or flags is never taken for it, and the next run finds it again. Must
not know what a test does with a product.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.extent import ARE_PEERS_REQUIRED, IS_FULL

NATIVE = Path(__file__).parents[2] / "native"
# The time that a test has in which something may be built, on a machine that is busy.
BUILD_SECONDS = 300.0
# Builds that no run has asked for since make room for others.
_KEPT_SECONDS = 24 * 3600.0
_NO_SANITIZERS = "cannot find"
SANITIZED, SHIPPED = "sanitized", "shipped"


class BuildError(Exception):
    """There is no product, and the text is what the compiler has said."""


class Builds:
    """The targets of a makefile, each in a folder of its own."""

    def __init__(self, sources: Path, folder: Path) -> None:
        self._sources = sources
        self._folder = folder

    def get(self, target: str, *settings: str, **products: str) -> Path:
        """Return the folder with what a target makes.

        `settings` are words of the call, `products` a file's name for each variable that takes one.
        The folder appears whole or not at all. While one process builds, others that ask for the
        same wait for it. Raises BuildError.
        """
        make = shutil.which("make")
        if make is None:
            pytest.skip("no make")
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"{target}-{self._digest(target, settings, products)}"
        place = self._folder / name
        with self._locked(name):
            if not place.is_dir():
                self._make([make, "-C", str(self._sources), target, *settings], products, place)
                self._clear()
            os.utime(place)
        return place

    def _make(self, command: list[str], products: dict[str, str], place: Path) -> None:
        unfinished = place.with_name(f"{place.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)  # of a process that was killed
        unfinished.mkdir()
        variables = [f"{variable}={unfinished / name}" for variable, name in products.items()]
        done = subprocess.run([*command, *variables], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            shutil.rmtree(unfinished)
            raise BuildError(done.stderr)
        unfinished.rename(place)

    def _digest(self, target: str, settings: tuple[str, ...], products: dict[str, str]) -> str:
        flags = [os.environ.get(name) for name in ("CFLAGS", "LDFLAGS", "FUZZ_CC")]
        digest = hashlib.sha256(repr((target, settings, products, flags)).encode())
        for compiler in ("cc", "gcc", "clang"):
            if (path := shutil.which(compiler)) is not None:
                asked = subprocess.run([path, "--version"], capture_output=True, check=False)
                digest.update(asked.stdout)
        for file in sorted(self._sources.rglob("*")):
            if file.is_file():
                digest.update(repr((str(file), file.stat().st_size)).encode())
                digest.update(file.read_bytes())
        return digest.hexdigest()[:20]

    def _clear(self) -> None:
        for one in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another process clears as well
                if one.is_dir() and time.time() - one.stat().st_mtime > _KEPT_SECONDS:
                    shutil.rmtree(one, ignore_errors=True)

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        with open(self._folder / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


BUILDS = Builds(NATIVE, NATIVE.parent / ".pytest_cache" / "native")


def find_compiler() -> str:
    """Return the C compiler of this machine, or skip the test."""
    found = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if found is None:
        pytest.skip("no C compiler")
    return found


def variants(metafunc: pytest.Metafunc) -> list[str]:
    """Return the builds on which a test of a native program runs.

    Everything runs on programs that check themselves. What the other flags, the other libc (static)
    and the absence of the checks could change is run on what is shipped as well: by the mark
    `shipped`, and with SOCKETD_FULL=1 all of it.
    """
    is_marked = metafunc.definition.get_closest_marker("shipped") is not None
    return [SANITIZED, SHIPPED] if is_marked or IS_FULL else [SANITIZED]


def build_variant(variant: str, shipped: str, sanitized: str, **products: str) -> Path:
    """Return the folder of products as they are shipped, or so built that they check themselves.

    Where the compiler has no sanitizers, the former stand in for the latter.
    """
    setting = f"CC={find_compiler()}"
    if variant == SANITIZED:
        try:
            return BUILDS.get(sanitized, setting, **products)
        except BuildError as error:
            if _NO_SANITIZERS not in str(error):
                raise
            if ARE_PEERS_REQUIRED:
                pytest.skip("the C compiler has no sanitizers")
    return BUILDS.get(shipped, setting, **products)
