"""The wheel's build hook: compiles what is native.

Owns the way from native/ to socketd/native/, and what each product is made of; native/Makefile
has the same table. Must not know what they do.
Without a compiler, or when it fails, the wheel is built all the same, pure: socketd then forks its
workers in Python.

A release is made for machines that are not this one: release/wheels.py compiles, and says with
$SOCKETD_PRODUCTS in which folder that lies, and with $SOCKETD_PLATFORM where it runs.
"""

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sysconfig
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_PRODUCTS = Path("socketd", "native")


@dataclass(frozen=True, slots=True)
class Product:
    """What is compiled: from which folders, and what is missing without it."""

    name: str
    folders: tuple[str, ...]
    loss: str
    is_object: bool = False
    is_command: bool = False
    """A wheel has it where commands are, and there alone: socketd.system.products finds it."""

    @property
    def path(self) -> Path:
        """Return where it lies in the package."""
        return _PRODUCTS / self.name


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


class NativeBuildHook(BuildHookInterface[BuilderConfig]):
    """Puts what is native into wheels, standard and editable."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  the hook's interface
        """Compile, and mark the wheel for this platform; warn and leave it pure otherwise."""
        if self.target_name != "wheel":
            return
        # Those of an earlier build may not fit the sources of this one.
        self.clean([])
        prepared = os.environ.get("SOCKETD_PRODUCTS")
        built = self._take(Path(prepared)) if prepared else self._build()
        if ZYGOTE not in built:
            return
        for product in built:
            path = product.path.as_posix()
            if product.is_command:
                build_data["shared_scripts"][path] = product.name
            else:
                build_data["artifacts"].append(path)
        platform = os.environ.get("SOCKETD_PLATFORM") or sysconfig.get_platform()
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{re.sub('[-.]', '_', platform)}"

    def _take(self, folder: Path) -> list[Product]:
        """Return all products, taken from where they have been made."""
        for product in PRODUCTS:
            place = Path(self.root, product.path)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / product.name, place)
        return list(PRODUCTS)

    def _build(self) -> list[Product]:
        """Return what could be built; without the first, the others are of no use."""
        built = []
        with tempfile.TemporaryDirectory() as scratch:
            try:
                compiler = Compiler(find_compiler(), Path(self.root, "native"), Path(scratch))
            except CompileError as error:
                self._warn(ZYGOTE, error)
                return []
            with contextlib.closing(compiler):
                for product in PRODUCTS:
                    compiler.begin(product)
                for product in PRODUCTS:
                    try:
                        compiler.link(product, Path(self.root, product.path))
                    except CompileError as error:
                        self._warn(product, error)
                        if product is ZYGOTE:
                            break
                    else:
                        built.append(product)
        return built

    def _warn(self, product: Product, error: CompileError) -> None:
        self.app.display_warning(f"socketd: {product.loss}: {error}")

    def clean(self, versions: list[str]) -> None:  # noqa: ARG002  the hook's interface
        """Remove what was compiled."""
        for product in PRODUCTS:
            Path(self.root, product.path).unlink(missing_ok=True)
