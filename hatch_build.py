"""The wheel's build hook: puts what is native into it.

Owns the way from native_build.py to socketd/native/. Where nothing can be compiled, the wheel is
built all the same, pure: socketd then forks its workers in Python.

A release is made for machines that are not this one: release/wheels.py compiles, and says with
$SOCKETD_PRODUCTS in which folder that lies, and with $SOCKETD_PLATFORM where it runs.
"""

import os
import re
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# The back end loads this file by its path, wherever it is itself.
sys.path.insert(0, str(Path(__file__).parent))
from native_build import PRODUCTS, ZYGOTE, Product, build

_PACKAGE = Path("socketd", "native")


def path_of(product: Product) -> Path:
    """Return where a product lies in the package."""
    return _PACKAGE / product.name


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
        built = (
            self._take(Path(prepared))
            if prepared
            else build(Path(self.root, _PACKAGE), self.app.display_warning)
        )
        if ZYGOTE not in built:
            return
        for product in built:
            path = path_of(product).as_posix()
            if product.is_command:
                build_data["shared_scripts"][path] = product.name
            else:
                build_data["artifacts"].append(path)
        platform = os.environ.get("SOCKETD_PLATFORM") or sysconfig.get_platform()
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{re.sub('[-.]', '_', platform)}"

    def _take(self, folder: Path) -> list[Product]:
        """Return what has been made elsewhere, in a folder."""
        made = [product for product in PRODUCTS if (folder / product.name).exists()]
        for product in made:
            place = Path(self.root, path_of(product))
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / product.name, place)
        return made

    def clean(self, versions: list[str]) -> None:  # noqa: ARG002  the hook's interface
        """Remove what was compiled."""
        for product in PRODUCTS:
            Path(self.root, path_of(product)).unlink(missing_ok=True)
