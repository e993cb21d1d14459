"""The wheel's build hook, through the build back end, in a copy of the project."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from harness import scgi
from harness.extent import by_extent
from harness.native import BUILD_SECONDS, NATIVE

_PRODUCT = "socketd/native/socketd-zygote"
_OBJECT = "socketd/native/socketd-hold.so"
_WRAPPERS = ("scgi2cgi", "fcgi2cgi")
_WARNING = "native template not built, workers will be forked in Python"

# For what does not turn on how well the compiler does its work. That it has nothing to say of any
# file when it does it well, the builds of other tests show: those by the makefile have -Werror.
_QUICKLY = {"CFLAGS": "-O0"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(BUILD_SECONDS)]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a copy of what the back end reads."""
    root = NATIVE.parent
    project = tmp_path / "project"
    project.mkdir()
    for name in (
        ".gitignore",
        "LICENSE",
        "README.md",
        "hatch_build.py",
        "native_build.py",
        "pyproject.toml",
    ):
        shutil.copy(root / name, project)
    shutil.copytree(root / "native", project / "native")
    built = shutil.ignore_patterns("__pycache__", "native")
    shutil.copytree(root / "socketd", project / "socketd", ignore=built)
    return project


def _build(project: Path, **environment: str) -> tuple[zipfile.ZipFile, str]:
    """Build a wheel; return it and what the back end said beside its name."""
    folder = project / "dist"
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=project,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    said = (done.stdout + done.stderr).replace(f"{wheel.relative_to(project)}\n", "")
    return zipfile.ZipFile(wheel), said


def test_the_wheel_holds_the_program_and_names_its_platform(compiler: str, project: Path) -> None:
    """With a compiler the wheel is for this platform, and the program in it can be executed."""
    wheel, said = _build(project, SOCKETD_WERROR="1", CC=compiler, **_QUICKLY)
    with wheel:
        mode = wheel.getinfo(_PRODUCT).external_attr >> 16
        names = wheel.namelist()
        commands = {name.rpartition("/")[2] for name in names if ".data/scripts/" in name}
        assert wheel.filename is not None

    assert said == ""
    assert _OBJECT in names
    assert commands == set(_WRAPPERS)
    assert mode & 0o111 == 0o111
    assert re.search(r"-py3-none-linux_\w+\.whl$", wheel.filename)


def test_what_was_compiled_elsewhere_is_taken_as_far_as_it_goes(
    project: Path, tmp_path: Path
) -> None:
    """The back end compiles nothing then, and leaves out what could not be made there."""
    made = tmp_path / "made"
    made.mkdir()
    (made / "socketd-zygote").write_bytes(b"made elsewhere")
    wheel, said = _build(project, SOCKETD_PRODUCTS=str(made), CC="false")
    with wheel:
        content = wheel.read(_PRODUCT)
        names = wheel.namelist()
        assert wheel.filename is not None

    assert (said, content) == ("", b"made elsewhere")
    assert _OBJECT not in names
    assert re.search(r"-py3-none-linux_\w+\.whl$", wheel.filename)


def test_where_libc_is_not_static_the_program_is_dynamic(
    compiler: str, project: Path, tmp_path: Path
) -> None:
    """A system without a static libc gets a program all the same, and it runs."""
    dynamic_only = tmp_path / "cc"
    # Of the object, which is never static, it makes nothing but a file.
    dynamic_only.write_text(
        '#!/bin/sh\ncase " $* " in *" -static "*) exit 1;;\n'
        '*" @hold/flags "*) while [ "$1" != -o ]; do shift; done; : > "$2"; exit;; esac\n'
        f'exec {compiler} "$@"\n'
    )
    dynamic_only.chmod(0o755)
    wheel, said = _build(project, SOCKETD_WERROR="1", CC=str(dynamic_only), **_QUICKLY)
    wheel.close()
    called = subprocess.run([project / _PRODUCT], capture_output=True, check=False)

    assert said == ""
    assert called.returncode == 100


def test_without_shared_objects_the_wheel_has_the_program_alone(
    project: Path, tmp_path: Path
) -> None:
    """Where no object can be built there is one warning, and everything else."""
    no_object = tmp_path / "cc"
    # What it makes is of no matter here, so it compiles nothing.
    no_object.write_text(
        '#!/bin/sh\ncase " $* " in *hold.c*) exit 1;; esac\n'
        'while [ "$1" != -o ]; do shift; done; : > "$2"\n'
    )
    no_object.chmod(0o755)
    wheel, said = _build(project, CC=str(no_object))
    with wheel:
        names = wheel.namelist()

    assert said.count("\n") == 1
    assert "socketd-hold.so not built, --ready will fall back to fork" in said
    assert _PRODUCT in names
    assert _OBJECT not in names


@pytest.mark.parametrize("obstacle", ["absent", "broken"])
def test_without_a_working_compiler_the_wheel_is_pure(project: Path, obstacle: str) -> None:
    """The build succeeds with one warning, and a program of an earlier build is left out."""
    (project / "socketd" / "native").mkdir(exist_ok=True)
    (project / _PRODUCT).write_text("stale")
    environment = {"PATH": "/nowhere"} if obstacle == "absent" else {"CC": "false"}
    wheel, said = _build(project, **environment)
    with wheel:
        names = wheel.namelist()
        assert wheel.filename is not None

    assert said.count("\n") == 1
    assert _WARNING in said
    assert _PRODUCT not in names
    assert wheel.filename.endswith("-py3-none-any.whl")


def test_everything_compiles_with_musl(project: Path, tmp_path: Path) -> None:
    """With the kernel's headers all is built; without them one line says what is missing."""
    if shutil.which("musl-gcc") is None:
        pytest.skip("musl-gcc is not installed")
    headers = tmp_path / "headers"
    headers.mkdir()
    usual = Path("/usr/include")
    multiarch = usual / (sysconfig.get_config_var("MULTIARCH") or ".")
    for place in (usual / "linux", usual / "asm-generic", multiarch / "asm"):
        (headers / place.name).symlink_to(place)

    bare, complaint = _build(project, CC="musl-gcc", **_QUICKLY)
    bare.close()
    Path(str(bare.filename)).unlink()
    whole, said = _build(project, SOCKETD_WERROR="1", CC=f"musl-gcc -isystem {headers}", **_QUICKLY)
    with whole:
        names = whole.namelist()

    assert complaint.count("\n") == 1
    assert _WARNING in complaint
    assert "linux/capability.h: No such file or directory" in complaint
    assert said == ""
    assert {_PRODUCT, _OBJECT} <= set(names)


def test_everything_compiles_for_another_processor(project: Path) -> None:
    """64-bit ARM has system calls and registers of its own; a wrapper runs there as here."""
    compiler, emulator = "aarch64-linux-gnu-gcc", "qemu-aarch64-static"
    for tool in (compiler, emulator):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    wheel, said = _build(project, SOCKETD_WERROR="1", CC=compiler, **by_extent(_QUICKLY, {}))
    wheel.close()
    wrapper = str(project / "socketd" / "native" / "scgi2cgi")
    done = subprocess.run(
        [emulator, wrapper, "/usr/bin/printenv", "QUESTION"],
        input=scgi.request(QUESTION="6 x 9"),
        capture_output=True,
        check=False,
    )

    assert said == ""
    assert (done.stdout, done.stderr) == (b"6 x 9\n", b"")
