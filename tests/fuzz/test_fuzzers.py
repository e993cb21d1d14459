"""Fuzzers: each one runs over its corpus and a bounded number of inputs that it makes of it."""

import shutil
import subprocess
from pathlib import Path

import pytest

NATIVE = Path(__file__).parents[2] / "native"
CORPUS = Path(__file__).parent / "corpus"
TARGETS = sorted(path.stem for path in (NATIVE / "fuzz").glob("*.c"))
RUNS = 20_000
MOST_CORPUS_BYTES = 200 * 1024


@pytest.fixture(scope="session", params=TARGETS)
def fuzzer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a fuzzer, which checks its own memory."""
    make = shutil.which("make")
    if shutil.which("clang") is None or make is None:
        pytest.skip("clang or make is not installed")
    product = tmp_path_factory.mktemp("fuzz") / str(request.param)
    done = subprocess.run(
        [make, "-C", str(NATIVE), "fuzz", f"FUZZ={request.param}", f"OUT={product}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if "libclang_rt" in done.stderr:
        pytest.skip("clang has no fuzzer: libclang-rt-dev is not installed")

    assert done.returncode == 0, done.stderr

    return product


@pytest.mark.slow
def test_no_input_breaks_a_decoder(fuzzer: Path, tmp_path: Path) -> None:
    """Nothing is read or written where it may not be, and no cut of the input matters."""
    corpus = tmp_path / "corpus"
    shutil.copytree(CORPUS / fuzzer.name, corpus)
    done = subprocess.run(
        [fuzzer, f"-runs={RUNS}", "-seed=1", "-max_len=4096", corpus],
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
