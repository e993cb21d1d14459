"""Fuzzers: each one runs over its corpus and a bounded number of inputs that it makes of it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from harness.extent import by_extent
from harness.native import BUILDS, NATIVE, BuildError

CORPUS = Path(__file__).parent / "corpus"
TARGETS = sorted(path.stem for path in (NATIVE / "fuzz").glob("*.c"))
RUNS = by_extent(2_000, 8_000)
# A run of these starts programs, or moves many bytes.
FEWER_RUNS = {"carry": by_extent(500, 2_000), "fcgi-stream": by_extent(100, 400)}
# It runs for a second here, so optimizing it would take longer than it gains.
QUICKLY = "CFLAGS=-O0"
MOST_CORPUS_BYTES = 200 * 1024


@pytest.fixture(scope="session", params=TARGETS)
def fuzzer(request: pytest.FixtureRequest) -> Path:
    """Build a fuzzer, which checks its own memory."""
    if shutil.which("clang") is None:
        pytest.skip("clang is not installed")
    name = str(request.param)
    try:
        return BUILDS.get("fuzz", f"FUZZ={name}", QUICKLY, OUT=name) / name
    except BuildError as error:
        if "libclang_rt" in str(error):
            pytest.skip("clang has no fuzzer: libclang-rt-dev is not installed")
        raise


@pytest.mark.slow
def test_no_input_breaks_a_rule(fuzzer: Path, tmp_path: Path) -> None:
    """Nothing is read or written where it may not be, and every rule of the fuzzer holds."""
    corpus = tmp_path / "corpus"
    shutil.copytree(CORPUS / fuzzer.name, corpus)
    done = subprocess.run(
        [fuzzer, f"-runs={FEWER_RUNS.get(fuzzer.name, RUNS)}", "-seed=1", "-max_len=4096", corpus],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("target", TARGETS)
def test_a_corpus_is_there_and_small(target: str) -> None:
    """Every fuzzer has something to start from, and none of them weighs much."""
    sizes = [file.stat().st_size for file in (CORPUS / target).iterdir()]

    assert sizes
    assert sum(sizes) < MOST_CORPUS_BYTES
