"""Completion: every shell takes the script, and offers every option."""

import shutil
import subprocess
from pathlib import Path

import pytest

from harness.commands import run_command
from socketd.cli.completion import script
from socketd.cli.options import all_options

pytestmark = pytest.mark.slow

SHELLS = ("bash", "zsh", "fish")


@pytest.mark.parametrize("shell", SHELLS)
def test_script_is_printed_and_taken_by_the_shell(shell: str, tmp_path: Path) -> None:
    """--completion prints a script that its shell can read without a complaint."""
    outcome = run_command("--completion", shell)
    assert (outcome.status, outcome.stdout) == (0, script(shell) + "\n")
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    path = tmp_path / "script"
    path.write_text(outcome.stdout)

    done = subprocess.run([shell, "-n", str(path)], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("shell", SHELLS)
def test_every_option_is_offered(shell: str) -> None:
    """No option of the table is missing, nor a value of those that have a few."""
    text = script(shell)
    for option in all_options():
        long = f"-l {option.name}" if shell == "fish" else f"--{option.name}"
        assert long in text
        assert " ".join(option.choices) in text


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["--conn"], {"--connect-timeout"}),
        (["--strategy", "su"], {"surge"}),
        (["--strategy", "=", "in"], {"incremental"}),
        (["--shell", ""], {"auto", "always", "never"}),
        (
            ["--w"],
            {
                "--wait",
                "--warm-up",
                "--when-full",
                "--worker",
                "--workers",
                "--write-only",
                "--write-paths",
            },
        ),
        (["--warm-up", "/etc/hostn"], {"/etc/hostname"}),
        (["--root", "/et"], {"/etc"}),
        (["--scripts", "/et"], {"/etc"}),
        (["--scripts", "/usr/bin,/etc/hostn"], {"/usr/bin,/etc/hostname"}),
    ],
)
def test_bash_offers_what_fits(words: list[str], offered: set[str]) -> None:
    """In a bash that has sourced the script, the words before the cursor decide."""
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    quoted = " ".join(f"'{word}'" for word in ["socket", *words])
    probe = (
        f"{script('bash')}\nCOMP_WORDS=({quoted}); COMP_CWORD={len(words)}\n"
        '_socket; printf "%s\\n" "${COMPREPLY[@]}"'
    )

    done = subprocess.run(["bash", "-c", probe], capture_output=True, text=True, check=True)

    assert set(done.stdout.split()) == offered
