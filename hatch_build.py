"""The wheel's build hook: compiles the native template.

Owns the way from native/ to socketd/native/: the program and the object that is preloaded. Every
file in native/ itself goes into both, those of a subfolder into one; native/Makefile has the same
rule. Must not know what they do.
Without a compiler, or when it fails, the wheel is built all the same, pure: socketd then forks its
workers in Python.
"""

import os
import shlex
import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_PRODUCTS = Path("socketd", "native")
_ZYGOTE = _PRODUCTS / "socketd-zygote"
_HOLD_OBJECT = _PRODUCTS / "socketd-hold.so"


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


def compile_zygote(sources: Path, product: Path) -> None:
    """Compile the template into a program, static where libc allows it. Raises CompileError."""
    _compile(sources, "zygote", product, (["-static"], []))


def compile_hold_object(sources: Path, product: Path) -> None:
    """Compile the template into an object to be preloaded. Raises CompileError."""
    _compile(sources, "hold", product, ([f"@{sources / 'hold' / 'flags'}"],))


def _compile(sources: Path, folder: str, product: Path, linkages: Sequence[list[str]]) -> None:
    """Compile what is shared and one folder, with the first linkage that works.

    $CFLAGS and $LDFLAGS are added to our own. The product appears complete or not at all, also
    while an older one is running. Raises CompileError.
    """
    compiler = find_compiler()
    flags = [f"@{sources / 'flags'}", "-iquote", str(sources)]
    flags += shlex.split(os.environ.get("CFLAGS", ""))
    if os.environ.get("SOCKETD_WERROR") == "1":
        flags.append("-Werror")
    unfinished = product.with_name(f"{product.name}.{os.getpid()}")
    files = [
        str(file) for file in (*sorted(sources.glob("*.c")), *sorted(sources.glob(f"{folder}/*.c")))
    ]
    product.parent.mkdir(parents=True, exist_ok=True)
    complaint = ""
    for linkage in linkages:
        last = [*linkage, *shlex.split(os.environ.get("LDFLAGS", ""))]
        command = [*compiler, *flags, "-o", str(unfinished), *files, *last]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            unfinished.replace(product)
            return
        complaint = done.stderr.strip()
    unfinished.unlink(missing_ok=True)
    first_line = complaint.partition("\n")[0]
    raise CompileError(f"{compiler[0]} failed: {first_line}")


class ZygoteBuildHook(BuildHookInterface[BuilderConfig]):
    """Puts the native template into wheels, standard and editable."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  the hook's interface
        """Compile, and mark the wheel for this platform; warn and leave it pure otherwise."""
        if self.target_name != "wheel":
            return
        root = Path(self.root)
        # Those of an earlier build may not fit the sources of this one.
        self.clean([])
        try:
            compile_zygote(root / "native", root / _ZYGOTE)
        except CompileError as error:
            self.app.display_warning(
                f"socketd: native template not built, workers will be forked in Python: {error}"
            )
            return
        build_data["artifacts"].append(_ZYGOTE.as_posix())
        try:
            compile_hold_object(root / "native", root / _HOLD_OBJECT)
        except CompileError as error:
            self.app.display_warning(
                f"socketd: {_HOLD_OBJECT.name} not built, --ready will fall back to fork: {error}"
            )
        else:
            build_data["artifacts"].append(_HOLD_OBJECT.as_posix())
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"

    def clean(self, versions: list[str]) -> None:  # noqa: ARG002  the hook's interface
        """Remove what was compiled."""
        for product in (_ZYGOTE, _HOLD_OBJECT):
            Path(self.root, product).unlink(missing_ok=True)
