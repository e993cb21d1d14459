"""Build the package of Debian, in a tree of the release of Debian that has what it needs.

    python -m release.deb [FOLDER]          (make deb)

Owns the way from the files that git knows to the folder `dist/deb`: an sdist is the source that the
archive would get, debian/ is put beside it, and lintian has nothing to say of what comes out. What
is needed stands in debian/control only.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from release import trees
from release.wheels import copy_tree

# Debian 12 has msgspec and structlog in versions that are too old.
SUITE = "trixie"
_PLACE = Path("/build")
_STEPS = """
set -e
cd /build/tree
python3 -m hatchling build -t sdist -d .. >/dev/null
cd ..
version=$(dpkg-parsechangelog -l tree/debian/changelog -S Version)
mv socketd-*.tar.gz "socketd_${version%-*}.orig.tar.gz"
mkdir source
tar -C source --strip-components=1 -xf socketd_*.orig.tar.gz
cp -a tree/debian source
cd source
dpkg-buildpackage --no-sign
cd ..
lintian --allow-root --fail-on error,warning socketd_*.changes
"""


def build(folder: Path) -> Path:
    """Build it into a folder, in place of what was there; return the path of the package."""
    tree = trees.debian(SUITE, "ca-certificates", f"{SUITE}-build")
    if tree is None:
        raise SystemExit("deb: cannot make a tree of Debian: needs root and debootstrap")
    place = tree / _PLACE.relative_to("/")
    shutil.rmtree(place, ignore_errors=True)
    copy_tree(place)
    trees.install(tree, "build-dep", str(_PLACE / "tree"))
    trees.install(tree, "install", "lintian")
    with trees.mounted(tree):
        subprocess.run(["chroot", tree, "sh", "-c", _STEPS], check=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in place.iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    (made,) = folder.glob("socketd_*.deb")
    return made


def main(folder: str = "dist/deb") -> int:
    """Build it."""
    print(build(Path(folder).absolute()))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
