"""The wheel's build hook: compiles what is native.

Owns the way from native/ to socketd/native/, and what each product is made of; native/Makefile
has the same table. Must not know what they do.
Without a compiler, or when it fails, the wheel is built all the same, pure: socketd then forks its
workers in Python.
"""

import os
import shlex
import shutil
import subprocess
import sysconfig
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
    """It is also put where commands are."""

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


class CompileError(Exception):
    """There is no program, and the text says why."""


def find_compiler() -> list[str]:
    """Return the command of a C compiler: $CC if it is set, else the first that exists.

    Raises CompileError if there is none.
    """
    chosen = os.environ.get("CC")
    for candidate in [chosen] if chosen else ["cc", "gcc", "clang"]:
        words = shlex.split(candidate)
        if words and shutil.which(words[0]):
            return words
    raise CompileError(f"$CC is {chosen!r}, not found" if chosen else "no C compiler found")


def compile_product(sources: Path, product: Product, place: Path) -> None:
    """Compile a product, a program static where libc allows it, with $CFLAGS and $LDFLAGS added.

    It appears complete or not at all, also while an older one is running. Raises CompileError.
    """
    linkages = [[f"@{sources / 'hold' / 'flags'}"]] if product.is_object else [["-static"], []]
    compiler = find_compiler()
    flags = [f"@{sources / 'flags'}", "-iquote", str(sources)]
    flags += shlex.split(os.environ.get("CFLAGS", ""))
    if os.environ.get("SOCKETD_WERROR") == "1":
        flags.append("-Werror")
    unfinished = place.with_name(f"{place.name}.{os.getpid()}")
    files = [
        str(file) for folder in product.folders for file in sorted((sources / folder).glob("*.c"))
    ]
    place.parent.mkdir(parents=True, exist_ok=True)
    complaint = ""
    for linkage in linkages:
        last = [*linkage, *shlex.split(os.environ.get("LDFLAGS", ""))]
        command = [*compiler, *flags, "-o", str(unfinished), *files, *last]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            unfinished.replace(place)
            return
        complaint = done.stderr.strip()
    unfinished.unlink(missing_ok=True)
    first_line = complaint.partition("\n")[0]
    raise CompileError(f"{compiler[0]} failed: {first_line}")


class NativeBuildHook(BuildHookInterface[BuilderConfig]):
    """Puts what is native into wheels, standard and editable."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  the hook's interface
        """Compile, and mark the wheel for this platform; warn and leave it pure otherwise."""
        if self.target_name != "wheel":
            return
        # Those of an earlier build may not fit the sources of this one.
        self.clean([])
        if not self._add(ZYGOTE, build_data):
            return
        for product in EXTRAS:
            self._add(product, build_data)
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"

    def _add(self, product: Product, build_data: dict[str, Any]) -> bool:
        try:
            compile_product(Path(self.root, "native"), product, Path(self.root, product.path))
        except CompileError as error:
            self.app.display_warning(f"socketd: {product.loss}: {error}")
            return False
        build_data["artifacts"].append(product.path.as_posix())
        if product.is_command:
            build_data["shared_scripts"][product.path.as_posix()] = product.name
        return True

    def clean(self, versions: list[str]) -> None:  # noqa: ARG002  the hook's interface
        """Remove what was compiled."""
        for product in (ZYGOTE, *EXTRAS):
            Path(self.root, product.path).unlink(missing_ok=True)
