"""How a CGI script in Python is started ahead."""

import sys
from pathlib import Path

import pytest

from socketd.config.build import Builder, Surroundings
from socketd.programs.cgi_start import prepared
from socketd.programs.command import Program
from socketd.programs.hold_script import read_by_hold, with_own_hold
from socketd.settings.values import Values
from socketd.system.products import HOLD_SCRIPT


def start_of(folder: Path, first_line: str) -> tuple[Program, Program | None]:
    """Return a script, and what prepares it."""
    path = folder / "script"
    path.write_text(f"{first_line}\nprint()\n")
    script = Program(str(path), (str(path), "word"))
    return script, prepared(script)


@pytest.fixture
def python(tmp_path: Path) -> str:
    """Return an interpreter that is called otherwise than it is named."""
    for name in ("python3.11", "python3.6", "python2.7"):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "python").symlink_to("python3.11")
    return str(tmp_path / "python")


@pytest.mark.parametrize("words", [(), ("-u",)])
def test_python_script_is_prepared(tmp_path: Path, python: str, words: tuple[str, ...]) -> None:
    """Its interpreter runs ours of all scripts, with the flags of the first line."""
    script, program = start_of(tmp_path, " ".join([f"#!{python}", *words]))

    assert program is not None
    assert program.path == python
    assert program.arguments == (python, *words, HOLD_SCRIPT, "--cgi", script.path, "word")


@pytest.mark.parametrize("words", ["{python} -u", "-S {python} -u"])
def test_interpreter_may_be_looked_for(tmp_path: Path, python: str, words: str) -> None:
    """What env(1) would run is what counts."""
    _, program = start_of(tmp_path, f"#!/usr/bin/env {words.format(python=python)}")

    assert program is not None
    assert program.arguments[:2] == (python, "-u")


@pytest.mark.parametrize(
    "first_line",
    ["#!/bin/sh", "#!", "#! ", "echo", "", "#!{folder}/python2.7", "#!{folder}/python3.6",
     "#!/usr/bin/env", "#!/usr/bin/env no-such-python3", "#!/nowhere/python3"],
)  # fmt: skip
def test_anything_else_is_started_as_it_is(tmp_path: Path, python: str, first_line: str) -> None:
    """Nothing prepares a program of which nothing better is known."""
    assert python
    assert start_of(tmp_path, first_line.format(folder=tmp_path))[1] is None


def test_program_that_may_not_be_read_is_started_as_it_is() -> None:
    """What cannot be looked into is no script."""
    assert prepared(Program("/nowhere", ("/nowhere",))) is None


def test_nothing_beside_the_script_that_holds_hides_a_module_of_python() -> None:
    """hold.py also runs by its path, and its folder is where Python looks first then."""
    names = {path.stem for path in Path(HOLD_SCRIPT).parent.iterdir()}

    assert names & sys.stdlib_module_names == set()


@pytest.mark.parametrize("flags", [(), ("-u", "-E")])
def test_hold_by_a_foreign_python_is_our_own_file(flags: tuple[str, ...]) -> None:
    """The Python that is found on PATH mostly does not have our package."""
    words = ("python3", *flags, "-m", "socketd.hold", "--cgi", "/srv/page.py")

    own = with_own_hold(Program("/usr/bin/python3", words))

    assert own.arguments == ("python3", *flags, HOLD_SCRIPT, "--cgi", "/srv/page.py")
    assert read_by_hold(own) == (HOLD_SCRIPT, "/srv/page.py")


@pytest.mark.parametrize(
    "program",
    [
        Program(f"{sys.prefix}/bin/python3", ("python3", "-m", "socketd.hold", "page.py")),
        Program("/usr/bin/python3", ("python3", "page.py", "-m", "socketd.hold")),
        Program("/usr/bin/python3", ("python3", "-m", "http.server")),
        Program("/bin/cat", ("cat", "-m")),
        Program("/bin/cat", ("cat",)),
    ],
)
def test_any_other_command_is_run_as_it_is(program: Program) -> None:
    """Our own Python has the module, and it may be a word of any other program."""
    assert with_own_hold(program) == program
    assert read_by_hold(program) == ()


def test_program_that_was_found_ahead_is_run_by_our_own_file_too() -> None:
    """As the words of `socketd cgi` and of `socketd explain` are."""
    found = Program("/usr/bin/python3", ("python3", "-m", "socketd.hold", "/srv/page.py"))
    builder = Builder(Values({}), Surroundings({}), found)

    assert builder.service("x").program.arguments == ("python3", HOLD_SCRIPT, "/srv/page.py")
