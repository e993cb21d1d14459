"""Completion of `socketd`: every shell takes the script, and gets an answer."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.supervisors import SOCKETD, run_socketd

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_is_printed_and_taken_by_the_shell(shell: str, tmp_path: Path) -> None:
    """--completion prints a script that its shell can read without a complaint."""
    outcome = run_socketd("--completion", shell)
    assert (outcome.status, outcome.stderr) == (0, "")
    assert f"{shell}_complete" in outcome.stdout
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    path = tmp_path / "script"
    path.write_text(outcome.stdout)

    done = subprocess.run([shell, "-n", str(path)], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["ex"], {"explain"}),
        (["explain", "--le"], {"--level"}),
        (["explain", "--level", "re"], {"read", "relay"}),
        (["explain", "--shared-files", ""], {"refuse", "allow"}),
        (["explain", "made-up-"], {"made-up-program"}),
        (["check", "--ex"], {"--explain"}),
    ],
)
def test_what_fits_is_offered(words: list[str], offered: set[str], tmp_path: Path) -> None:
    """The words before the cursor decide; a command is one of the programs on PATH."""
    program = tmp_path / "made-up-program"
    program.write_text("")
    program.chmod(0o755)
    (tmp_path / "made-up-file").write_text("")

    answer = _answer(words, f"{tmp_path}:{os.environ['PATH']}")

    assert set(answer) == {f"plain,{word}" for word in offered}


def test_argument_of_a_command_is_a_file() -> None:
    """The shell completes the names of files itself, those of options, too."""
    assert _answer(["cgi", "--warm-up", "x"], os.environ["PATH"]) == ["file,x"]
    assert _answer(["explain", "cat", "x"], os.environ["PATH"]) == ["file,x"]
    assert _answer(["cgi", "--scripts", "x"], os.environ["PATH"]) == ["file,x"]


def test_each_path_of_a_list_is_completed(tmp_path: Path) -> None:
    """What stands before the last comma stays; a hidden file is offered if it is asked for."""
    (tmp_path / "folder").mkdir()
    for name in ("file", "other", ".hidden"):
        (tmp_path / name).write_text("")

    def offered(word: str) -> set[str]:
        return set(_answer(["cgi", "--scripts", word], os.environ["PATH"]))

    assert offered(f"/a,{tmp_path}/f") == {
        f"plain,/a,{tmp_path}/file",
        f"plain,/a,{tmp_path}/folder/",
    }
    assert offered(f"/a,/b,{tmp_path}/.") == {f"plain,/a,/b,{tmp_path}/.hidden"}
    assert len(offered(f"/a,{tmp_path}/")) == 3
    assert offered(f"/a,{tmp_path}/missing/") == set()


@pytest.mark.parametrize("asked", ["bash", "bash_complete", "ksh_complete", "bash_nonsense"])
def test_nonsense_is_answered_by_nothing(asked: str) -> None:
    """A variable that no script of ours sets is no reason to serve, nor for a traceback."""
    done = subprocess.run(
        [SOCKETD, "show", "/no/such/file"],
        env={"PATH": os.environ["PATH"], "_SOCKETD_COMPLETE": asked},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def _answer(words: list[str], path: str) -> list[str]:
    done = subprocess.run(
        [SOCKETD],
        env={
            "PATH": path,
            "_SOCKETD_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(["socketd", *words]),
            "COMP_CWORD": str(len(words)),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()
