"""What is exec'd for a command: the same as a shell would run, without the shell where possible."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from socketd.errors import ExitCode, ProgramError
from socketd.programs.command import SHELL, Program, ShellUse, resolve

_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/", "LC_ALL": "C"}
# Programs that print what they are given and change nothing; then what a shell treats specially.
_PROGRAMS = ["printenv HOME", "basename", "dirname", "seq", "expr", "env printf %s.", "/bin/echo"]
_BUILTINS = ["echo", "printf %s.", "test", ":", "!", "cd", "set", "exit", "exec", "if", "{", "x=y"]
_WORDS = [
    "a", "3", "-n", "--", "a.b/c", "a=b", "k:v", "a,b", "100%", "%d", "@x", "+1", "_", "",
    "'a b'", '"a  b"', "'$HOME'", "a'*'b", "''", '"\\\\"', "'\n'", '"$HOME"',
    "$HOME", "`echo x`", "$(echo x)", "*", "/bin/d*sh", "[a]", "?", "~", "~/x",
    "{a,b}", "#c", "\\a", "a\\ b", "|cat", ";echo", "&&echo", "||echo", "(a)", "é", "ü*", "\x1c",
]  # fmt: skip
_GAPS = [" ", "  ", "\t", " \t ", "\n"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a directory of our own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(path: Path, mode: int = 0o755, text: str = "#!/bin/sh\n") -> Path:
    """Write a script."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def is_direct(command: str) -> bool:
    """Tell whether a command is run without a shell; one that cannot be found is."""
    try:
        return resolve(command, ShellUse.AUTO, _ENVIRONMENT).path != SHELL
    except ProgramError:
        return True


def run(words: list[str], executable: str) -> tuple[int, bytes]:
    """Return status and output."""
    done = subprocess.run(
        words,
        executable=executable,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_ENVIRONMENT,
        check=False,
    )
    return done.returncode, done.stdout


def run_resolved(command: str) -> tuple[int, bytes]:
    """Run what a command resolves to; a program that is not there ends as in a shell."""
    try:
        program = resolve(command, ShellUse.AUTO, _ENVIRONMENT)
    except ProgramError as error:
        return error.exit_code, b""
    return run(list(program.arguments), program.path)


_COMMANDS = st.builds(
    lambda first, rest: first + "".join(gap + word for gap, word in rest),
    st.sampled_from(_PROGRAMS + _BUILTINS),
    st.lists(st.tuples(st.sampled_from(_GAPS), st.sampled_from(_WORDS)), max_size=4),
)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(_COMMANDS)
def test_plain_command_gives_what_the_shell_gives(command: str) -> None:
    """Run directly or not, the output and the status are those of `sh -c`."""
    assert run_resolved(command) == run(["sh", "-c", command], SHELL)


@pytest.mark.parametrize(
    "command",
    [
        "cat", "cat -u", "  cat\t-u ", "/bin/cat", "env A=b printenv A", "seq 1 3", "sort -k1,2",
        "env printf 100%", "expr 1 + 2", "basename a@b.c:d", "no-such-program", "cat 'a'",
        'cat "a  b"', "awk '{print $1}'", "'cat' a'b'\"c\"",
    ],
)  # fmt: skip
def test_plain_words_need_no_shell(command: str) -> None:
    """A program and plain arguments are exec'd directly."""
    assert is_direct(command)


@pytest.mark.parametrize(
    "command",
    [
        "cat | cat", "cat; cat", "cat & cat", "cat <f", "cat >f", "cat $HOME", "cat `x`", "cat 'a",
        'cat "$a"', 'cat "a', 'cat "a\\b"', 'cat "a!b"', "'' cat", "'A=b' cat",
        "cat a\\ b", "ls *", "ls ?", "ls [a]", "ls ~", "ls {a,b}", "cat #c", "(cat)",
        "cat !", "cat ^", "cat\ncat", "cat\r", "cat é", "A=b cat", "A=b", "%1", "%cat", "echo x",
        "exec cat", "cd /", ". x", ": x", "time cat", "while",
    ],
)  # fmt: skip
def test_anything_special_goes_through_the_shell(command: str) -> None:
    """Expansions, globs, assignments, builtins, job names, newlines, unicode and no words."""
    program = resolve(command, ShellUse.AUTO, _ENVIRONMENT)

    assert program == Program(SHELL, ("sh", "-c", command))


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["sh", "bash", "dash"])
def test_no_builtin_of_a_shell_is_run_directly(shell: str) -> None:
    """Whatever name on PATH a shell answers itself is left to the shell."""
    folders = [folder for folder in _ENVIRONMENT["PATH"].split(":") if os.path.isdir(folder)]
    names = sorted({name for folder in folders for name in os.listdir(folder)})
    script = 'for name; do case $(command -v "$name") in /*) ;; ?*) echo "$name" ;; esac; done'
    try:
        done = subprocess.run(
            [shell, "-c", script, shell, *names], env=_ENVIRONMENT, capture_output=True, check=True
        )
    except FileNotFoundError:
        pytest.skip(f"no {shell} on this machine")

    own = done.stdout.decode().split()

    assert "echo" in own
    assert [name for name in own if is_direct(name)] == []


def test_quotes_hold_a_word_together_and_are_not_part_of_it() -> None:
    """Without a shell, too, what stands between quotes is one word, as it stands."""
    program = resolve("""env 'a  $b'"c d"e '' "{}" """, ShellUse.AUTO, _ENVIRONMENT)

    assert program.arguments == ("env", "a  $bc de", "", "{}")


def test_shell_can_be_demanded() -> None:
    """With ALWAYS even plain words go through the shell, whether or not they name a program."""
    program = resolve("no-such-program", ShellUse.ALWAYS, _ENVIRONMENT)

    assert program == Program("/bin/sh", ("sh", "-c", "no-such-program"))


def test_shell_can_be_forbidden(folder: Path) -> None:
    """With NEVER the words are taken literally, quotes and all."""
    make(folder / "bin" / "tool")

    program = resolve("tool '*' $HOME", ShellUse.NEVER, {"PATH": f"{folder}/bin"})

    assert program == Program(f"{folder}/bin/tool", ("tool", "'*'", "$HOME"))


@pytest.mark.parametrize("shell", ShellUse)
@pytest.mark.parametrize("command", ["", " ", "\t\n"])
def test_no_words_are_an_error(command: str, shell: ShellUse) -> None:
    """An empty command names no program, with a shell or without: 127."""
    with pytest.raises(ProgramError, match="it names no program") as caught:
        resolve(command, shell, _ENVIRONMENT)

    assert caught.value.exit_code == ExitCode.NOT_FOUND


def test_first_program_on_path_is_taken(folder: Path) -> None:
    """Files that cannot be run and directories are passed over, as a shell does."""
    make(folder / "a" / "tool", mode=0o644)
    (folder / "b" / "tool").mkdir(parents=True)
    wanted = make(folder / "c" / "tool")
    make(folder / "d" / "tool")
    path = ":".join(f"{folder}/{name}" for name in ["missing", "a", "b", "c", "d"])

    assert resolve("tool x", ShellUse.AUTO, {"PATH": path}) == Program(str(wanted), ("tool", "x"))


@pytest.mark.parametrize("path", ["", ":/nowhere", "/nowhere:", "."])
def test_empty_entry_of_path_is_the_current_directory(folder: Path, path: str) -> None:
    """The result is absolute all the same."""
    make(folder / "tool")

    assert os.path.samefile(resolve("tool", ShellUse.AUTO, {"PATH": path}).path, folder / "tool")
    assert os.path.isabs(resolve("tool", ShellUse.AUTO, {"PATH": path}).path)


def test_missing_path_variable_has_the_usual_value() -> None:
    """Without PATH the usual directories are searched."""
    assert os.path.basename(resolve("cat", ShellUse.AUTO, {}).path) == "cat"


@pytest.mark.parametrize("name", ["./tool", "sub/../tool", "link/../tool", "sub/tool"])
def test_relative_path_becomes_absolute(folder: Path, name: str) -> None:
    """The file is the one that the kernel finds from here, `..` behind a symbolic link included."""
    (folder / "elsewhere" / "deep").mkdir(parents=True)
    (folder / "link").symlink_to(folder / "elsewhere" / "deep")
    make(folder / "tool")
    make(folder / "sub" / "tool")
    make(folder / "elsewhere" / "tool")

    program = resolve(f"{name} x", ShellUse.AUTO, _ENVIRONMENT)

    assert os.path.isabs(program.path)
    assert os.path.samefile(program.path, name)
    assert program.arguments == (name, "x")


def test_script_is_a_program(folder: Path) -> None:
    """With or without a "#!" line: the worker knows what to do."""
    script = make(folder / "script", text="echo hi\n")

    assert resolve(str(script), ShellUse.AUTO, _ENVIRONMENT).path == str(script)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("missing", "cannot run 'missing': it is not on PATH"),
        ("./missing", "cannot run './missing': there is no such file"),
        ("./plain/file", "cannot run './plain/file': there is no such file"),
    ],
)
def test_missing_program_is_127(folder: Path, command: str, message: str) -> None:
    """The message says where it was looked for."""
    make(folder / "plain", mode=0o644)

    with pytest.raises(ProgramError) as caught:
        resolve(command, ShellUse.AUTO, {"PATH": f"{folder}/bin"})

    assert (str(caught.value), caught.value.exit_code) == (message, ExitCode.NOT_FOUND)


@pytest.mark.parametrize("command", ["./folder", "folder"])
def test_directory_is_126(folder: Path, command: str) -> None:
    """A directory is executable, but no program."""
    (folder / "folder").mkdir()

    with pytest.raises(ProgramError, match="it is a directory") as caught:
        resolve(command, ShellUse.AUTO, {"PATH": str(folder)})

    assert caught.value.exit_code == ExitCode.CANNOT_EXECUTE


@pytest.mark.parametrize("command", ["./plain", "plain"])
def test_file_that_is_not_executable_is_126(folder: Path, command: str) -> None:
    """The message says how to change that, for the file in question."""
    make(folder / "plain", mode=0o644)

    with pytest.raises(ProgramError, match=r"not executable \(try: chmod \+x \S*plain\)") as caught:
        resolve(command, ShellUse.AUTO, {"PATH": str(folder)})

    assert caught.value.exit_code == ExitCode.CANNOT_EXECUTE
