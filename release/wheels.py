"""Build a release, the same bytes each time: an sdist, and of it a wheel for each target.

    python -m release.wheels [FOLDER]          (make dist)

Owns the way from the files that git knows to the folder `dist`. The compiler is that of the package
ziglang: it has for every target the libc and the headers, which cross compilers of a distribution
lack for musl and have too new for glibc, at one version for everybody. The wheels are made of the
unpacked sdist: it builds from itself.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from native_build import PRODUCTS, Compiler, Product
from release.targets import TARGETS, Target

ROOT = Path(__file__).parents[1]
# Debug information would name this machine's folders, and nobody has the sources beside a wheel.
LINK_FLAGS = "-s"


def main(folder: str = "dist") -> int:
    """Build everything into a folder, in place of what was there."""
    place = Path(folder).absolute()
    with tempfile.TemporaryDirectory() as scratch_name:
        scratch = Path(scratch_name)
        tree = copy_tree(scratch)
        epoch = commit_time()
        os.environ["SOURCE_DATE_EPOCH"] = epoch
        os.environ["LDFLAGS"] = LINK_FLAGS
        os.environ.pop("CFLAGS", None)
        # What is in a cache does not show whether it is made the same again.
        os.environ.setdefault("ZIG_LOCAL_CACHE_DIR", str(scratch / "cache"))
        made = scratch / "made"
        build(tree, made, "sdist")
        (sdist,) = made.glob("*.tar.gz")
        source = unpack(sdist, scratch)
        programs: dict[str, Path] = {}
        for target in TARGETS:
            products = scratch / target.platform
            if target.processor not in programs:
                programs[target.processor] = products
                compile_all(source, products, target.programs_triple, is_object=False)
            else:
                shutil.copytree(programs[target.processor], products)
            compile_all(source, products, target.triple, is_object=True)
            build_wheel(source, made, products, target)
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(made, place)
    for file in sorted(place.iterdir()):
        print(f"{file.stat().st_size:>9}  {file.name}")
    return 0


def copy_tree(scratch: Path) -> Path:
    """Return a copy of the files that git knows, or of all in a tree without git."""
    tree = scratch / "tree"
    if not (ROOT / ".git").exists():
        ignored = shutil.ignore_patterns(".venv", "dist", "__pycache__")
        shutil.copytree(ROOT, tree, ignore=ignored)
        return tree
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.split("\0")[:-1]:
        place = tree / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, place)
    return tree


def unpack(sdist: Path, place: Path) -> Path:
    """Unpack an sdist below a folder; return the only folder that it has."""
    # By the command, which refuses names that lead out of the folder: Python does so since 3.11.4,
    # and with a warning where it is not asked to.
    folder = Path(tempfile.mkdtemp(dir=place))
    subprocess.run(["tar", "-xzf", sdist, "-C", folder], check=True)
    (source,) = folder.iterdir()
    return source


def commit_time() -> str:
    """Return the time that files in a release have: $SOURCE_DATE_EPOCH, or that of the commit."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return given
    command = ["git", "log", "-1", "--format=%ct"]
    asked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return asked.stdout.strip() or "315532800"  # 1980, the earliest in an archive of zip


def compile_all(source: Path, products: Path, triple: str, *, is_object: bool) -> None:
    """Compile the programs or the objects for what the compiler calls a platform."""
    command = [sys.executable, "-m", "ziglang", "cc", "-target", triple]
    wanted: list[Product] = [one for one in PRODUCTS if one.is_object is is_object]
    with (
        tempfile.TemporaryDirectory() as scratch,
        contextlib.closing(Compiler(command, source / "native", Path(scratch))) as compiler,
    ):
        for product in wanted:
            compiler.begin(product)
        for product in wanted:
            compiler.link(product, products / product.name)


def build(tree: Path, folder: Path, kind: str) -> None:
    """Have the build back end make an sdist or a wheel."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)]
    subprocess.run(command, cwd=tree, stdout=subprocess.DEVNULL, check=True)


def build_wheel(source: Path, folder: Path, products: Path, target: Target) -> None:
    """Make the wheel of a target."""
    os.environ["SOCKETD_PRODUCTS"] = str(products)
    os.environ["SOCKETD_PLATFORM"] = target.platform
    build(source, folder, "wheel")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
