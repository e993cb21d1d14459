"""Make a virtual environment and install into it, as fast as that goes.

    python3 release/environment.py FOLDER [WHAT-PIP-INSTALLS...]

Owns the way around a pip of the environment's own: writing that one takes longer than installing
this package with the one that every Python brings along. Must not know what is installed.
"""

import ensurepip
import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from pathlib import Path


def bundled_pip() -> Path | None:
    """Return the wheel of pip that this Python has for new environments."""
    # Debian and Fedora have it in a folder of the system.
    kept = sysconfig.get_config_var("WHEEL_PKG_DIR")
    for folder in ([Path(kept)] if kept else []) + [Path(ensurepip.__file__).parent / "_bundled"]:
        if wheels := sorted(folder.glob("pip-*.whl")):
            return wheels[-1]
    return None


def install(folder: Path, arguments: list[str]) -> int:
    """Have pip install into an environment; return what it returns."""
    command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *arguments]
    wheel = bundled_pip()
    if wheel is None:
        venv.create(folder, with_pip=True, symlinks=True)
        return subprocess.run(command, check=False).returncode
    # Unpacked: pip starts itself several times, and compiles itself each time from an archive.
    with tempfile.TemporaryDirectory() as unpacked:
        with zipfile.ZipFile(wheel) as archive:
            # Not what says that it is installed: who asks for pip would get none.
            wanted = [name for name in archive.namelist() if ".dist-info/" not in name]
            archive.extractall(unpacked, wanted)
        environment = {**os.environ, "PYTHONPATH": unpacked, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        return subprocess.run(command, env=environment, check=False).returncode


def main(folder: str, *arguments: str) -> int:
    """Make the environment if it is not there, and install."""
    venv.create(folder, with_pip=False, symlinks=True)
    return install(Path(folder), list(arguments)) if arguments else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
