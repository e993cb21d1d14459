"""Compile what is native.

    python3 native_build.py FOLDER

Owns what each product is made of, and how it is compiled; native/Makefile has the same table. Must
not know what they do, nor who installs them. Imports the standard library only. Without a
compiler, or when it fails, a product is left out, and a line says what is missing without it.
"""

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parent / "native"


@dataclass(frozen=True, slots=True)
class Product:
    """What is compiled: from which folders, and what is missing without it."""

    name: str
    folders: tuple[str, ...]
    loss: str
    is_object: bool = False
    is_command: bool = False
    """A wheel has it where commands are, and there alone: socketd.system.products finds it."""


ZYGOTE = Product(
    "socketd-zygote",
    (".", "front", "fastcgi", "zygote"),
    "native template not built, workers will be forked in Python",
)
# What a pure package can do without.
EXTRAS = (
    Product(
        "socketd-hold.so",
        (".", "front", "fastcgi", "hold"),
        "socketd-hold.so not built, --ready will fall back to fork",
        is_object=True,
    ),
    Product("scgi2cgi", ("front", "scgi2cgi"), "scgi2cgi not built", is_command=True),
    Product("fcgi2cgi", ("front", "fastcgi", "fcgi2cgi"), "fcgi2cgi not built", is_command=True),
)
PRODUCTS = (ZYGOTE, *EXTRAS)


class CompileError(Exception):
    """There is no program, and the text says why."""


def find_compiler() -> list[str]:
    """Return the command of a C compiler: $CC if it is set, else the first that exists.

    Raises CompileError if there is none.
    """
    chosen = os.environ.get("CC")
    for candidate in [chosen] if chosen else ["cc", "gcc", "clang"]:
        words = shlex.split(candidate)
        if words and (path := shutil.which(words[0])):
            # It runs in another folder than the one in which it was named.
            return [os.path.abspath(path) if "/" in words[0] else words[0], *words[1:]]
    raise CompileError(f"$CC is {chosen!r}, not found" if chosen else "no C compiler found")


@dataclass(frozen=True, slots=True)
class Unit:
    """A source file, as it is compiled for programs or for an object; products share them."""

    source: Path
    is_object: bool


class Compiler:
    """Compiles what products are made of, each unit once and as many at a time as may run here.

    It works in the folder of the sources, so that nothing it makes has the name of another folder
    in it. $CFLAGS and $LDFLAGS are added.
    """

    def __init__(self, command: list[str], sources: Path, scratch: Path) -> None:
        self._command = command
        self._sources = sources
        self._scratch = scratch
        self._flags = ["@flags", "-iquote", ".", *shlex.split(os.environ.get("CFLAGS", ""))]
        # Never by default: a compiler that is newer than this release warns of more, and who
        # installs it has nothing from being told so but a build that fails. Developers and
        # continuous integration build with -Werror by native/Makefile, and test this hook with it.
        if os.environ.get("SOCKETD_WERROR") == "1":
            self._flags.append("-Werror")
        self._libraries = shlex.split(os.environ.get("LDFLAGS", ""))
        self._jobs = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
        self._units: dict[Unit, Future[Path]] = {}

    def begin(self, product: Product) -> None:
        """Have the units of a product compiled, while others are asked for."""
        for unit in self._units_of(product):
            if unit not in self._units:
                self._units[unit] = self._jobs.submit(self._compile, unit)

    def close(self) -> None:
        """Forget what has not begun."""
        self._jobs.shutdown(cancel_futures=True)

    def link(self, product: Product, place: Path) -> None:
        """Make a product that has begun, a program static where libc allows it.

        It appears complete or not at all, also while an older one is running. Raises CompileError.
        """
        objects = [str(self._units[unit].result()) for unit in self._units_of(product)]
        linkages = [["@hold/flags", "@hold/linkage"]] if product.is_object else [["-static"], []]
        place.parent.mkdir(parents=True, exist_ok=True)
        unfinished = place.with_name(f"{place.name}.{os.getpid()}")
        for linkage in linkages:
            try:
                self._run([*linkage, "-o", str(unfinished), *objects, *self._libraries])
            except CompileError:
                unfinished.unlink(missing_ok=True)
                if linkage is linkages[-1]:
                    raise
            else:
                unfinished.replace(place)
                return

    def _units_of(self, product: Product) -> list[Unit]:
        return [
            Unit(source.relative_to(self._sources), product.is_object)
            for folder in product.folders
            for source in sorted((self._sources / folder).glob("*.c"))
        ]

    def _compile(self, unit: Unit) -> Path:
        folder = self._scratch / ("object" if unit.is_object else "program")
        place = folder / unit.source.with_suffix(".o")
        place.parent.mkdir(parents=True, exist_ok=True)
        how = ["@hold/flags"] if unit.is_object else []
        self._run([*how, "-c", "-o", str(place), str(unit.source)])
        return place

    def _run(self, arguments: list[str]) -> None:
        command = [*self._command, *self._flags, *arguments]
        done = subprocess.run(
            command, cwd=self._sources, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            first_line = done.stderr.strip().partition("\n")[0]
            raise CompileError(f"{self._command[0]} failed: {first_line}")


def build(place: Path, warn: Callable[[str], None]) -> list[Product]:
    """Compile into a folder; return what is there. Without the first, the others are of no use."""
    built = []
    with tempfile.TemporaryDirectory() as scratch:
        try:
            compiler = Compiler(find_compiler(), SOURCES, Path(scratch))
        except CompileError as error:
            warn(f"socketd: {ZYGOTE.loss}: {error}")
            return []
        with contextlib.closing(compiler):
            for product in PRODUCTS:
                compiler.begin(product)
            for product in PRODUCTS:
                try:
                    compiler.link(product, place / product.name)
                except CompileError as error:
                    warn(f"socketd: {product.loss}: {error}")
                    if product is ZYGOTE:
                        break
                else:
                    built.append(product)
    return built


def main(folder: str) -> int:
    """Compile into a folder what can be compiled."""
    build(Path(folder).absolute(), lambda text: print(text, file=sys.stderr))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
