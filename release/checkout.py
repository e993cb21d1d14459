"""Install what is checked out into an environment, as it is needed to run, as fast as that goes.

    python3 -m release.checkout FOLDER        (make run)

Owns what is done at the same time: one half is waiting for the network, the other is compiling.
What builds a package is installed beside what runs it, by one pip, in place of the environment of
its own that pip would make for each of its steps. Imports the standard library only.
"""

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from release import environment

ROOT = Path(__file__).parents[1]


def main(folder: str) -> int:
    """Install into an environment, which is made if it is not there; return what pip returns."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    with environment.pip(Path(folder)) as install, tempfile.TemporaryDirectory() as products:
        compiling = subprocess.Popen([sys.executable, ROOT / "native_build.py", products])
        try:
            status = install(*needed)
            if status == 0 and compiling.wait() == 0:
                here = ["--no-build-isolation", "--no-deps", "--editable", str(ROOT)]
                status = install(*here, SOCKETD_PRODUCTS=products)
        finally:
            compiling.kill()
            compiling.wait()
    return status or compiling.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
