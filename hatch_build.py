"""The wheel's build hook: compiles the native template.

Owns the way from native/*.c to socketd/native/socketd-zygote. Must not know what the program does.
Without a compiler, or when it fails, the wheel is built all the same, pure: socketd then forks its
workers in Python.
"""

import os
import shlex
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_PRODUCT = Path("socketd", "native", "socketd-zygote")


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
    """Compile every C file of a directory into one program, static where libc allows it.

    $CFLAGS and $LDFLAGS are added to our own. The product appears complete or not at all, also
    while an older one is running. Raises CompileError.
    """
    compiler = find_compiler()
    flags = [f"@{sources / 'flags'}", *shlex.split(os.environ.get("CFLAGS", ""))]
    if os.environ.get("SOCKETD_WERROR") == "1":
        flags.append("-Werror")
    unfinished = product.with_name(f"{product.name}.{os.getpid()}")
    files = [str(file) for file in sorted(sources.glob("*.c"))]
    product.parent.mkdir(parents=True, exist_ok=True)
    complaint = ""
    for linkage in (["-static"], []):
        linkage += shlex.split(os.environ.get("LDFLAGS", ""))
        command = [*compiler, *flags, "-o", str(unfinished), *files, *linkage]
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
        product = root / _PRODUCT
        # One of an earlier build may not fit the sources of this one.
        product.unlink(missing_ok=True)
        try:
            compile_zygote(root / "native", product)
        except CompileError as error:
            self.app.display_warning(
                f"socketd: native template not built, workers will be forked in Python: {error}"
            )
            return
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["artifacts"].append(_PRODUCT.as_posix())
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"

    def clean(self, versions: list[str]) -> None:  # noqa: ARG002  the hook's interface
        """Remove what was compiled."""
        Path(self.root, _PRODUCT).unlink(missing_ok=True)
