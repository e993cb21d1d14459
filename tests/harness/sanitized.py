"""The object that holds programs, built so that it checks itself, and servers that use it."""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.native import BUILDS
from harness.servers import Server
from socketd.system.products import is_built

ADDRESSES = "sanitize-hold-address"
# Set by `make sanitized`: every program that a test holds is held by an object that checks itself.
IS_WANTED = bool(os.environ.get("SOCKETD_SANITIZE_HOLD"))
# The server, with another object than that of the package.
_CALL = """
import sys
import socketd.workers.launch
socketd.workers.launch.HOLD_OBJECT = {path!r}
from socketd.cli.socket import main
sys.argv = sys.argv[1:]
sys.exit(main())
"""
# Our object comes before the library. A report ends the process with a status that no test takes
# for a good one.
ASAN_OPTIONS = "verify_asan_link_order=0:detect_leaks=0:exitcode=99"

# The levels of --ready at which nothing is held.
_WITHOUT = ("fork", "relay")


def is_checked(item: pytest.Item) -> bool:
    """Tell whether a test starts servers that hold programs with an object that checks itself.

    That is who asks for the fixture, at a level at which it is used.
    """
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return "sanitize" in getattr(item, "fixturenames", ()) and not any(
        isinstance(one, str) and one in _WITHOUT for one in parameters
    )


@dataclass(frozen=True)
class Sanitized:
    """An object that checks itself."""

    path: str

    @classmethod
    def build(cls, target: str, folder: Path) -> "Sanitized":
        """Put the object, as a target of the makefile has it, into a folder, or skip the test."""
        if not is_built():
            pytest.skip("no C compiler")
        product = folder / f"{target}.so"
        shutil.copy(BUILDS.get(target, HOLD=product.name) / product.name, product)
        return cls(str(product))

    def serve(
        self,
        arguments: list[str],
        environment: dict[str, str] | None = None,
        prefix: list[str] | None = None,
        **options: object,
    ) -> Server:
        """Start a server that holds programs with this object."""
        return Server(
            arguments,
            {"ASAN_OPTIONS": ASAN_OPTIONS, **(environment or {})},
            [*(prefix or []), sys.executable, "-c", _CALL.format(path=self.path)],
            **{**options, "is_measured": False},  # type: ignore[arg-type]  # options of Server
        )
