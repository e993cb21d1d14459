"""What a file says of whether our object can be loaded into it."""

import os
import shutil
import struct
import sys
from pathlib import Path

import pytest

from socketd.programs.loadable import why_not_loadable

CAT = shutil.which("cat") or "/bin/cat"
MACHINE_OFFSET = 18


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Return a copy of a dynamically linked program."""
    path = tmp_path / "program"
    shutil.copy(CAT, path)
    return path


def write(path: Path, text: str) -> str:
    """Write a script; return its path."""
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def test_dynamic_program_is_loadable(program: Path) -> None:
    """Nothing speaks against an ordinary program."""
    assert why_not_loadable(str(program), CAT) is None


@pytest.mark.parametrize("line", ["#!{}", "#! {} -u", "#!\t{}\t"])
def test_of_a_script_its_interpreter_counts(tmp_path: Path, program: Path, line: str) -> None:
    """A "#!" line is followed, also to another script."""
    inner = write(tmp_path / "inner", line.format(program) + "\nprint\n")
    outer = write(tmp_path / "outer", f"#!{inner}\n")
    assert why_not_loadable(outer, CAT) is None

    program.chmod(0o4755)

    assert why_not_loadable(outer, CAT) == f"{program} is set-user-id or set-group-id"


def test_script_without_an_interpreter_is_the_shell_s(tmp_path: Path) -> None:
    """A text without "#!" is run by /bin/sh, which is loadable."""
    assert why_not_loadable(write(tmp_path / "plain", "echo\n"), CAT) is None


def test_circle_of_interpreters_has_an_end(tmp_path: Path) -> None:
    """A script that is its own interpreter is refused, as the kernel refuses it."""
    path = tmp_path / "circle"
    write(path, f"#!{path}\n")

    assert why_not_loadable(str(path), CAT) == f"{path} has too many interpreters"


def test_missing_interpreter_is_named(tmp_path: Path) -> None:
    """The reason names the file that is not there."""
    path = write(tmp_path / "script", "#!/no/such/interpreter\n")

    assert why_not_loadable(path, CAT) == (
        "/no/such/interpreter cannot be read: No such file or directory"
    )


def test_other_architecture_is_refused(program: Path) -> None:
    """The machine of the program has to be that of our object."""
    image = bytearray(program.read_bytes())
    struct.pack_into("=H", image, MACHINE_OFFSET, 0xFFFE)
    program.write_bytes(image)

    assert why_not_loadable(str(program), CAT) == f"{program} is for another architecture"


def test_other_word_size_is_refused(tmp_path: Path) -> None:
    """A 32-bit program, here no more than its headers, cannot take an object of 64 bits."""
    head = bytearray(64)
    head[:6] = b"\x7fELF\x01\x01"
    path = tmp_path / "small"
    path.write_bytes(head)

    if sys.maxsize > 2**32:
        assert why_not_loadable(str(path), CAT) == f"{path} is for another architecture"


def test_damaged_program_is_refused(program: Path) -> None:
    """A file that ends within its headers is a reason, not an error of ours."""
    program.write_bytes(program.read_bytes()[:40])

    assert why_not_loadable(str(program), CAT) == f"{program} is damaged"


@pytest.mark.parametrize("place", [32, 54])
def test_numbers_beyond_any_file_are_damage(program: Path, place: int) -> None:
    """Where the table is, and how long it is, are words of a stranger."""
    image = bytearray(program.read_bytes())
    image[place : place + (8 if place == 32 else 4)] = b"\xff" * (8 if place == 32 else 4)
    program.write_bytes(image)

    assert why_not_loadable(str(program), CAT) in (
        f"{program} is damaged",
        f"{program} is linked statically",
    )


def test_other_libc_is_refused(program: Path) -> None:
    """A program with another loader has another libc."""
    image = program.read_bytes()
    own = b"ld-linux"
    if image.count(own) == 0:
        pytest.skip("the loader here has another name")
    program.write_bytes(image.replace(own, b"ld-other", 1))

    reason = why_not_loadable(str(program), CAT)

    assert reason is not None
    assert f"{program} is for another libc: its loader is " in reason


def test_capabilities_are_refused(program: Path) -> None:
    """A program with file capabilities runs in the loader's secure mode."""
    # VFS_CAP_REVISION_2 with CAP_NET_BIND_SERVICE permitted; linux/capability.h
    capability = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
    try:
        os.setxattr(program, "security.capability", capability)
    except OSError:
        pytest.skip("only root may give a file capabilities, and not on every file system")

    assert why_not_loadable(str(program), CAT) == f"{program} has capabilities"
