"""Check a release: what its files say of themselves, and each wheel where it is for.

    python -m release.check [FOLDER]          (make check-dist)

Owns what is looked at. Each check says how it went; one that cannot be made on this machine says
why, and is an error with SOCKETD_REQUIRE_PEERS=1. release/smoke.py asks the installed package.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from release import check_container, emulation, environment, trees
from release.targets import TARGETS, Target
from release.wheels import ROOT

SMOKE = ROOT / "release" / "smoke.py"
TREE_PACKAGES = "python3-venv,ca-certificates"
OBJECT = "socketd/native/socketd-hold.so"
_COPY = "#include <stdio.h>\nint main(void) { for (int c; (c = getchar()) != EOF;) putchar(c); }\n"
_START = "#include <unistd.h>\nint main(int n, char **v) { (void)n; return execv(%s, v); }\n"


class CheckError(Exception):
    """A check has failed; the text says which and how."""


class CannotError(Exception):
    """A check cannot be made on this machine; the text says why."""


def run(*command: str | Path, **environment_more: str) -> str:
    """Run a command; return what it says. Raises CheckError."""
    words = [str(word) for word in command]
    # A path of the caller's would come before what is installed.
    inherited = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={**inherited, **environment_more},
    )
    if done.returncode != 0:
        raise CheckError(f"{' '.join(words)}: {done.stdout}")
    return done.stdout


def wheel_of(folder: Path, target: Target) -> Path:
    """Return the wheel of a target. Raises CheckError."""
    found = list(folder.glob(f"*-py3-none-{target.platform}.whl"))
    if len(found) != 1:
        raise CheckError(f"{len(found)} wheels for {target.platform}")
    return found[0]


def glibc_versions(path: Path) -> list[tuple[int, ...]]:
    """Return the versions of glibc's symbols that an object needs."""
    found = re.findall(rb"GLIBC_([0-9.]+)", path.read_bytes())
    return sorted({tuple(map(int, one.decode().split("."))) for one in found})


def check_files(folder: Path) -> None:
    """Look at names and contents: an sdist and four wheels, with which two programs agree."""
    wheels = [wheel_of(folder, target) for target in TARGETS]
    if len(list(folder.iterdir())) != len(wheels) + 1:
        raise CheckError(f"something else is in {folder}")
    tools = Path(sys.executable).parent
    for wheel, target in zip(wheels, TARGETS, strict=True):
        # W004: a module that cannot be imported. It is no module.
        run(tools / "check-wheel-contents", "--ignore", "W004", wheel)
        with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory() as place:
            needed = glibc_versions(Path(archive.extract(OBJECT, place)))
        if "musllinux" in target.platform:
            if needed:
                raise CheckError(f"{wheel.name}: the object needs glibc")
            continue
        _, major, minor, *_ = target.platform.split("_")
        if not needed or needed[-1] > (int(major), int(minor)):
            raise CheckError(f"{wheel.name}: the object needs glibc {needed[-1:]}")
        said = run(tools / "auditwheel", "show", wheel).replace("\n", " ")
        found = re.search(r'tag: +"manylinux_(\d+)_(\d+)_', said)
        if found is None or (int(found[1]), int(found[2])) > (int(major), int(minor)):
            raise CheckError(f"{wheel.name}: {said}")


def check_same_bytes(folder: Path) -> None:
    """Build a second time, with nothing kept of the first: it is the same bytes."""
    with tempfile.TemporaryDirectory() as place:
        again = Path(place) / "again"
        run(sys.executable, "-m", "release.wheels", again)
        for file in sorted(folder.iterdir()):
            if file.read_bytes() != (again / file.name).read_bytes():
                raise CheckError(f"{file.name} differs in a second build")


def check_here(folder: Path) -> None:
    """Try it in a fresh environment of this machine; uninstalled, nothing of it is left."""
    target = next(one for one in TARGETS if one.processor == platform.machine())
    with tempfile.TemporaryDirectory() as place:
        fresh = Path(place) / "environment"
        environment.main(str(fresh), "pip", "click", "msgspec", "setproctitle", "structlog")
        before = listing(fresh)
        python = fresh / "bin" / "python"
        run(python, "-m", "pip", "install", "--no-deps", wheel_of(folder, target))
        run(python, SMOKE, fresh / "bin")
        run(python, "-m", "pip", "uninstall", "--yes", "socketd")
        if left := listing(fresh) - before:
            raise CheckError(f"left after pip uninstall: {sorted(left)[:5]}")


def listing(folder: Path) -> set[Path]:
    """Return what is in a folder, but for what Python compiles."""
    return {
        path.relative_to(folder)
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def fetched(folder: Path, target: Target, tree: Path, place: Path) -> Path:
    """Put a wheel and all that it needs into a folder of a tree: the network is out here."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    wheel = Path(shutil.copy(wheel_of(folder, target), place))
    asked = "import sys; print('%d.%d' % sys.version_info[:2])"
    version = run("chroot", tree, "python3", "-c", asked).strip()
    run(
        sys.executable, "-m", "pip", "download", "--quiet", "--only-binary", ":all:",
        "--python-version", version, "--dest", place, wheel,
    )  # fmt: skip
    return wheel


def check_debian(folder: Path, suite: str) -> None:
    """Try it in a tree of a release of Debian, with the Python that is there."""
    target = next(one for one in TARGETS if one.processor == platform.machine())
    tree = trees.debian(suite, TREE_PACKAGES)
    if tree is None:
        raise CannotError("needs root and debootstrap")
    place = tree / "opt" / "socketd"
    shutil.rmtree(place, ignore_errors=True)
    wheel = fetched(folder, target, tree, place / "wheels")
    shutil.copy(SMOKE, place)
    inside, kept = "/opt/socketd/environment", "/opt/socketd/wheels"
    with trees.mounted(tree):
        run("chroot", tree, "python3", "-m", "venv", inside)
        run(
            "chroot", tree, f"{inside}/bin/python", "-m", "pip", "install", "--quiet",
            "--no-index", "--find-links", kept, f"{kept}/{wheel.name}",
        )  # fmt: skip
        run("chroot", tree, f"{inside}/bin/python", "/opt/socketd/smoke.py", f"{inside}/bin")


def check_contained(folder: Path) -> None:
    """Try it as in a container: process 1, a root that is read only, a user without a name."""
    target = next(one for one in TARGETS if one.processor == platform.machine())
    tree = trees.debian("trixie", TREE_PACKAGES)
    if tree is None:
        raise CannotError("needs root and debootstrap")
    shutil.copy(Path(environment.__file__), tree / "opt")
    shutil.rmtree(tree / "opt" / "socketd", ignore_errors=True)
    wheels = fetched(folder, target, tree, tree / "opt" / "wheels")
    run(
        "chroot", tree, "python3", "/opt/environment.py", "/opt/socketd",
        "--no-index", "--find-links", "/opt/wheels", f"/opt/wheels/{wheels.name}",
    )  # fmt: skip
    if wrong := check_container.check(tree):
        raise CheckError("; ".join(wrong))


def check_musl(folder: Path) -> None:
    """Serve a program of musl with the object of that wheel, by a Python that is of glibc."""
    loader = Path("/lib/ld-musl-x86_64.so.1")
    compiler = shutil.which("musl-gcc")
    if compiler is None or not loader.exists():
        raise CannotError("needs the package musl-tools, on x86_64")
    here = [one for one in TARGETS if one.processor == platform.machine()]
    target = next(one for one in here if one.platform.startswith("musllinux"))
    with tempfile.TemporaryDirectory() as place:
        fresh = Path(place) / "environment"
        environment.main(str(fresh), str(wheel_of(folder, here[0])))
        (site,) = fresh.glob("lib/python3.*/site-packages")
        with zipfile.ZipFile(wheel_of(folder, target)) as archive:
            archive.extract(OBJECT, site)
        program, start = Path(place) / "copy", Path(place) / "start"
        python = fresh / "bin" / "python"
        for made, text in ((program, _COPY), (start, _START % f'"{python}"')):
            source = made.with_suffix(".c")
            source.write_text(text)
            run(compiler, "-o", made, source)
        # Whose libc a program has to have is read from the interpreter's own file.
        (site / "sitecustomize.py").write_text(f"import sys\nsys.executable = {str(start)!r}\n")
        run(fresh / "bin" / "python", SMOKE, fresh / "bin", "native", program)


def check_emulated(folder: Path) -> None:
    """Serve on the other processor, under an emulator: as no others run: by Python."""
    target = next(one for one in TARGETS if one.processor != platform.machine())
    tree = emulation.unpacked("trixie", "python3", target.processor)
    if tree is None or emulation.emulator(target.processor) is None:
        raise CannotError("needs root, debootstrap and qemu-user-static")
    place = tree / "opt" / "socketd"
    shutil.rmtree(place, ignore_errors=True)
    emulation.install(wheel_of(folder, target), tree, place)
    shutil.copy(SMOKE, tree / "opt")
    with emulation.known_to_kernel(target.processor, tree / "usr/bin/true") as is_known:
        if not is_known:
            raise CannotError("the kernel does not start an emulator (binfmt_misc)")
        # Native ones start, though nothing can be had from them: without a plan it is a wrong call.
        zygote = place / "socketd" / "native" / "socketd-zygote"
        if subprocess.run([zygote], capture_output=True, check=False).returncode != 100:
            raise CheckError("socketd-zygote does not start")
        with trees.mounted(tree):
            smoke = ["/opt/smoke.py", "/opt/socketd/bin", "python"]
            run("chroot", tree, "python3", *smoke, PYTHONPATH="/opt/socketd")


CHECKS: Sequence[tuple[str, Callable[[Path], None]]] = (
    ("names, tags and contents", check_files),
    ("installed and uninstalled here", check_here),
    ("Debian 12", lambda folder: check_debian(folder, "bookworm")),
    ("Debian 13", lambda folder: check_debian(folder, "trixie")),
    ("as in a container", check_contained),
    ("musl", check_musl),
    ("the other processor", check_emulated),
    ("the same bytes again", check_same_bytes),
)


def main(folder: str = "dist") -> int:
    """Make every check; return 1 if one has failed."""
    status = 0
    for name, check in CHECKS:
        try:
            check(Path(folder).absolute())
            outcome = "ok"
        except CannotError as reason:
            outcome = f"not checked: {reason}"
            status |= os.environ.get("SOCKETD_REQUIRE_PEERS") == "1"
        except CheckError as error:
            outcome = f"FAILED: {error}"
            status = 1
        print(f"{name}: {outcome}", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
