"""Which files a program is known by."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from socketd.programs.command import Program
from socketd.programs.fingerprint import fingerprint, texts


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Return a function that writes a file beside the others and returns its path."""

    def write_file(name: str, text: str) -> str:
        path = tmp_path / name
        path.write_text(text)
        path.chmod(0o755)
        return str(path)

    return write_file


@pytest.mark.parametrize(
    "changed", ["script", "interpreter", "inner", "argument", "in text", "on path"]
)
def test_change_of_any_file_of_a_program_is_seen(
    tmp_path: Path, write: Callable[..., str], changed: str
) -> None:
    """The executable, its interpreters, and what arguments name, in the text of a shell too."""
    names = ["inner", "interpreter", "script", "argument", "in text", "on path"]
    paths = {name: write(name.replace(" ", "-"), "text") for name in names}
    write("inner", "\x7fELF")
    write("interpreter", f"#! {paths['inner']}\n")
    write("script", f"#!{paths['interpreter']} -x\n")
    text = f"cat <{paths['in text']} | on-path; exit"
    program = Program(paths["script"], ("script", "argument", "-c", text, "x" * 5000, "\0"))
    environment = {"PATH": str(tmp_path)}
    before = fingerprint(program, str(tmp_path), environment)
    assert fingerprint(program, str(tmp_path), environment) == before

    write(f"{paths[changed]}.new", Path(paths[changed]).read_text())
    os.replace(f"{paths[changed]}.new", paths[changed])

    assert fingerprint(program, str(tmp_path), environment) != before


def test_what_is_no_file_is_no_part_of_it(tmp_path: Path) -> None:
    """Neither a folder nor a pipe, at which nobody waits, nor what is not there."""
    os.mkfifo(tmp_path / "pipe")
    program = Program(str(tmp_path / "pipe"), ("pipe", str(tmp_path), "absent", "sub/absent"))

    assert fingerprint(program, str(tmp_path), {"PATH": ""}) == ()


def test_interpreters_that_name_each_other_have_an_end(write: Callable[..., str]) -> None:
    """The kernel gives up after four."""
    path = write("one", "")
    write("one", f"#!{path}\n")

    assert len(fingerprint(Program(path, ("one",)), "/", {})) == 1


def test_text_of_a_program_is_that_of_its_arguments_and_files(
    tmp_path: Path, write: Callable[..., str]
) -> None:
    """What is run may stand in any of them; an executable is no text."""
    binary = write("binary", "\x7fELF\0")
    path = write("script", f"#!{binary} -x\nscript\n")
    write("argument", "a" * (1 << 19))
    program = Program(path, ("script", "argument", "-c", "text"))

    found = texts(program, str(tmp_path), {"PATH": ""})

    assert found[:3] == ["argument", "-c", "text"]
    assert sorted(found[3:]) == sorted([f"#!{binary} -x\nscript\n", "a" * (1 << 18)])
