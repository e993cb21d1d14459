"""Programs for another processor, run here as if they were for this one: the kernel starts qemu.

Owns the kernel's entry for them (binfmt_misc), and the trees that are made for it. Must not know
what is tried there. Such a program has not all of Linux: no clone(2) with CLONE_PARENT, for one,
which native templates need.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from release import trees

_KERNEL = Path("/proc/sys/fs/binfmt_misc")
# The head of a 64-bit ELF file that is a program, up to its processor.
_HEAD = r"\x7fELF\x02\x01\x01" + r"\x00" * 9 + r"\x02\x00{number}\x00"
# Whatever system it names, and position independent or not.
_MASK = r"\xff" * 7 + r"\x00" + r"\xff" * 8 + r"\xfe" + r"\xff" * 3
_NUMBERS = {"aarch64": r"\xb7", "x86_64": r"\x3e"}
_DEBIAN_NAMES = {"aarch64": "arm64", "x86_64": "amd64"}


def emulator(processor: str) -> str | None:
    """Return the path of what runs programs for a processor, None if it is not installed."""
    return shutil.which(f"qemu-{processor}-static")


@contextlib.contextmanager
def known_to_kernel(processor: str, program: Path) -> Iterator[bool]:
    """Have the kernel start programs for a processor, of which one is given; yield whether it does.

    An entry that is there already is used, and one that is made is taken back.
    """
    path = emulator(processor)
    with contextlib.ExitStack() as undo:
        if not _starts(program) and path is not None and os.geteuid() == 0:
            if not (_KERNEL / "register").exists():
                command = ["mount", "-t", "binfmt_misc", "binfmt_misc", str(_KERNEL)]
                if subprocess.run(command, check=False).returncode != 0:
                    yield False
                    return
                undo.callback(_run, "umount", str(_KERNEL))
            name = f"{processor}-{os.getpid()}"
            head = _HEAD.format(number=_NUMBERS[processor])
            # F: it is opened now, and need not be in the tree. P: the first argument stays.
            (_KERNEL / "register").write_text(f":{name}:M::{head}:{_MASK}:{path}:PF")
            undo.callback((_KERNEL / name).write_text, "-1")
        yield _starts(program)


def _starts(program: Path) -> bool:
    """Return whether the kernel starts a program at all."""
    try:
        subprocess.run([program, "-h"], capture_output=True, check=False)
    except OSError:  # ENOEXEC
        return False
    return True


def unpacked(suite: str, packages: str, processor: str) -> Path | None:
    """Return a tree of Debian for another processor, None where none can be made.

    Its packages are unpacked and not set up, so that nothing of it has to run.
    """
    tree = trees.FOLDER / f"{suite}-{processor}"
    if tree.is_dir():
        return tree
    if shutil.which("debootstrap") is None or os.geteuid() != 0:
        return None
    unfinished = tree.with_name(f"{tree.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    command = [
        "debootstrap", "--foreign", f"--arch={_DEBIAN_NAMES[processor]}", "--variant=minbase",
        f"--include={packages}", suite, str(unfinished),
    ]  # fmt: skip
    _run(*command)
    for package in sorted((unfinished / "var/cache/apt/archives").glob("*.deb")):
        unpack_package(package, unfinished)
    proc = unfinished / "proc"
    if proc.is_symlink():  # which it is where debootstrap takes this for a container
        proc.unlink()
        proc.mkdir()
    # What the packages write when they are set up.
    shutil.copy(unfinished / "usr/share/base-passwd/passwd.master", unfinished / "etc/passwd")
    shutil.copy(unfinished / "usr/share/base-passwd/group.master", unfinished / "etc/group")
    unfinished.rename(tree)
    return tree


def unpack_package(package: Path, tree: Path) -> None:
    """Unpack a package of Debian into a tree in which /lib may be a link."""
    unpack = 'dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink -C "$2"'
    _run("bash", "-o", "pipefail", "-c", unpack, "bash", str(package), str(tree))


def install(wheel: Path, tree: Path, place: Path) -> None:
    """Install a wheel and what it needs into a folder of a tree; its own pip would take minutes."""
    (library,) = (tree / "usr/lib").glob("python3.*")
    glibc = [f"manylinux_2_{minor}" for minor in (28, 17)]
    processor = wheel.stem.partition("manylinux_2_28_")[2]
    platforms = [f"--platform={one}_{processor}" for one in (*glibc, "manylinux2014")]
    _run(
        sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--only-binary", ":all:",
        "--python-version", library.name.removeprefix("python"), "--implementation", "cp",
        *platforms, "--target", str(place), str(wheel),
    )  # fmt: skip
    for name in ("socket", "socketd"):
        command = place / "bin" / name
        text = command.read_text().partition("\n")[2]
        command.write_text(f"#!/usr/bin/python3\n{text}")


def _run(*command: str) -> None:
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
