"""A wheel of a release, as release/wheels.py has it made, of what was compiled for this machine."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from email.parser import Parser
from pathlib import Path

import pytest

from harness.native import BUILD_SECONDS
from native_build import PRODUCTS
from release.targets import TARGETS
from release.wheels import copy_tree, unpack
from socketd import __version__

ROOT = Path(__file__).parents[2]
NATIVE = ROOT / "socketd" / "native"
PLATFORM = TARGETS[0].platform
DATA = f"socketd-{__version__}.data"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(BUILD_SECONDS)]


def _build(tree: Path, kind: str) -> Path:
    folder = tree / "made"
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", folder],
        cwd=tree,
        env={
            "PATH": os.environ["PATH"],
            "SOCKETD_PRODUCTS": str(NATIVE),
            "SOCKETD_PLATFORM": PLATFORM,
            "SOURCE_DATE_EPOCH": "1000000000",
        },
        stdout=subprocess.DEVNULL,
        check=True,
    )
    (made,) = folder.iterdir()
    return made


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of what git knows, from which things are built."""
    if not all((NATIVE / product.name).exists() for product in PRODUCTS):
        pytest.skip("not everything was compiled")
    return copy_tree(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def wheel(tree: Path) -> Path:
    """Return the wheel."""
    return _build(tree, "wheel")


@pytest.fixture(scope="module")
def names(wheel: Path) -> list[str]:
    """Return what is in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_name_and_metadata_say_what_it_is(wheel: Path) -> None:
    """Version and platform are those of the package and of the target, in the name and inside."""
    with zipfile.ZipFile(wheel) as archive:
        info = f"socketd-{__version__}.dist-info"
        metadata = Parser().parsestr(archive.read(f"{info}/METADATA").decode())
        about = Parser().parsestr(archive.read(f"{info}/WHEEL").decode())

    assert wheel.name == f"socketd-{__version__}-py3-none-{PLATFORM}.whl"
    assert (metadata["Name"], metadata["Version"]) == ("socketd", __version__)
    assert (about["Tag"], about["Root-Is-Purelib"]) == (f"py3-none-{PLATFORM}", "false")


def test_each_product_is_there_once(names: list[str]) -> None:
    """What socketd starts is in the package, what people call is a command, and neither is both."""
    times = Counter(name.rpartition("/")[2] for name in names)

    assert {product.name: times[product.name] for product in PRODUCTS} == {
        product.name: 1 for product in PRODUCTS
    }
    assert {f"{DATA}/scripts/scgi2cgi", f"{DATA}/scripts/fcgi2cgi"} <= set(names)


def test_manuals_completions_and_examples_come_along(names: list[str]) -> None:
    """Whatever is in docs/man, contrib and examples is in the wheel, at the place for it."""
    listed = subprocess.run(
        ["git", "ls-files", "docs/man", "contrib", "examples"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    shared = [name.removeprefix(f"{DATA}/data/share/") for name in names if "/data/" in name]

    assert len(shared) == len(listed)
    for path in listed:
        if path.startswith("docs/man"):
            assert f"man/man{path[-1]}/{path.rpartition('/')[2]}" in shared
        elif not path.startswith("contrib/completions"):
            assert f"doc/socketd/{path}" in shared


def test_page_comes_along(names: list[str]) -> None:
    """The page that `socketd metrics` answers with is a file beside its module."""
    assert "socketd/metrics/page.html" in names


def test_sdist_makes_the_same_wheel(tree: Path, wheel: Path, tmp_path: Path) -> None:
    """What is built of the unpacked sdist, elsewhere and later, is the same wheel to the byte."""
    elsewhere = tmp_path / "copy"
    shutil.copytree(tree, elsewhere, ignore=shutil.ignore_patterns("made"))

    again = _build(unpack(_build(elsewhere, "sdist"), tmp_path), "wheel")

    assert again.read_bytes() == wheel.read_bytes()


@pytest.mark.parametrize("name", ["socket", "socketd"])
def test_bash_loads_the_completion_of_a_command(name: str) -> None:
    """The file that an installation has asks the command, and the shell knows what to call then."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    file = ROOT / "contrib" / "completions" / f"{name}.bash"
    done = subprocess.run(
        [bash, "--norc", "-c", f"source {file}; complete -p {name}"],
        env={"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )

    assert re.search(rf"-F _{name}\w* {name}$", done.stdout), done.stderr
