"""Make a virtual environment and install into it, as fast as that goes.

    python3 release/environment.py FOLDER [WHAT-PIP-INSTALLS...]

Owns the way around a pip of the environment's own: writing that one takes longer than installing
this package with the one that every Python brings along. Must not know what is installed.
"""

import contextlib
import ensurepip
import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path


def bundled_pip() -> Path | None:
    """Return the wheel of pip that this Python has for new environments."""
    # Debian and Fedora have it in a folder of the system.
    kept = sysconfig.get_config_var("WHEEL_PKG_DIR")
    for folder in ([Path(kept)] if kept else []) + [Path(ensurepip.__file__).parent / "_bundled"]:
        if wheels := sorted(folder.glob("pip-*.whl")):
            return wheels[-1]
    return None


@contextlib.contextmanager
def pip(folder: Path) -> Iterator[Callable[..., int]]:
    """Make an environment if it is not there; yield what has pip install into it.

    That takes what stands behind `pip install`, and returns what pip returns.
    """
    command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    wheel = bundled_pip()
    venv.create(folder, with_pip=wheel is None, symlinks=True)
    # Unpacked: pip starts itself several times, and compiles itself each time from an archive.
    with tempfile.TemporaryDirectory() as unpacked:
        environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        if wheel is not None:
            with zipfile.ZipFile(wheel) as archive:
                # Not what says that it is installed: who asks for pip would get none.
                wanted = [name for name in archive.namelist() if ".dist-info/" not in name]
                archive.extractall(unpacked, wanted)
            environment["PYTHONPATH"] = unpacked

        def install(*arguments: str, **more: str) -> int:
            return subprocess.run(
                [*command, *arguments], env={**environment, **more}, check=False
            ).returncode

        yield install


def main(folder: str, *arguments: str) -> int:
    """Make the environment if it is not there, and install."""
    if not arguments:
        venv.create(folder, with_pip=False, symlinks=True)
        return 0
    with pip(Path(folder)) as install:
        return install(*arguments)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
