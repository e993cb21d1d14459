"""Trees of Debian in which a release is tried: made once, in build/trees, and kept.

Owns how a tree is made, and what a running one has mounted. Must not know what is tried there.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "build" / "trees"


def debian(suite: str, packages: str, name: str = "") -> Path | None:
    """Return a tree of a release with packages, None where none can be made."""
    if shutil.which("debootstrap") is None or os.geteuid() != 0:
        return None
    tree = FOLDER / (name or suite)
    if not tree.is_dir():
        unfinished = tree.with_name(f"{tree.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        command = ["debootstrap", "--variant=minbase", f"--include={packages}", suite]
        subprocess.run([*command, str(unfinished)], stdout=subprocess.DEVNULL, check=True)
        unfinished.rename(tree)
    return tree


def install(tree: Path, *words: str) -> None:
    """Have apt install into a tree, over the network; nothing that is only recommended.

    What it knows of the archive is from when the tree was made, or from when that was too old.
    """
    options = ["-qq", "-o", "DPkg::Use-Pty=false", "--no-install-recommends"]
    apt = ["chroot", str(tree), "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *options]
    command = [*apt, "-y", *words]
    with mounted(tree):
        if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode != 0:
            subprocess.run([*apt, "update"], check=True)
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


@contextlib.contextmanager
def mounted(tree: Path) -> Iterator[None]:
    """Have /proc and /dev in a tree as they are here."""
    places = [tree / "proc", tree / "dev"]
    subprocess.run(["mount", "-t", "proc", "proc", places[0]], check=True)
    subprocess.run(["mount", "--bind", "/dev", places[1]], check=True)
    try:
        yield
    finally:
        for place in reversed(places):
            subprocess.run(["umount", "--lazy", place], check=True)
