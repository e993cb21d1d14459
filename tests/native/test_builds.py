"""What tests share is built once, and again as soon as anything in it is different."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.native import BuildError, Builds

MAKEFILE = """
thing:
	echo built >> built.log
	sleep 0.2
	cat source.c > $(OUT)

broken:
	echo half > $(OUT)
	echo "what is wrong" >&2; false
"""
ANOTHER = """
import sys
from pathlib import Path
from harness.native import Builds
print(Builds(Path(sys.argv[1]), Path(sys.argv[2])).get("thing", OUT="product"))
"""


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Return a folder with a makefile and a source; its log lies beside it."""
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "Makefile").write_text(MAKEFILE.replace("built.log", str(tmp_path / "built.log")))
    (folder / "source.c").write_text("one")
    return folder


def test_processes_that_ask_at_once_get_one_build(sources: Path, tmp_path: Path) -> None:
    """One of them builds, the others wait for it."""
    command = [sys.executable, "-c", ANOTHER, str(sources), str(tmp_path / "builds")]
    path = str(Path(__file__).parents[1])
    asking = [
        subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
        )
        for _ in range(3)
    ]
    places = {one.communicate()[0].strip() for one in asking}

    (place,) = places
    assert (Path(place) / "product").read_text() == "one"
    assert (tmp_path / "built.log").read_text() == "built\n"


def test_another_source_or_flag_is_another_build(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody tests what was built of something else, and the first one is still there."""
    builds = Builds(sources, tmp_path / "builds")
    first = builds.get("thing", OUT="product")
    (sources / "source.c").write_text("two")
    second = builds.get("thing", OUT="product")
    monkeypatch.setenv("CFLAGS", "-g")
    third = builds.get("thing", OUT="product")

    assert [(one / "product").read_text() for one in (first, second, third)] == [
        "one",
        "two",
        "two",
    ]
    assert len({first, second, third}) == 3


def test_failed_build_leaves_nothing(sources: Path, tmp_path: Path) -> None:
    """Who asks again hears again why there is none."""
    builds = Builds(sources, tmp_path / "builds")
    for _ in range(2):
        with pytest.raises(BuildError, match="what is wrong"):
            builds.get("broken", OUT="product")

    assert [one for one in (tmp_path / "builds").iterdir() if one.is_dir()] == []
