"""Writes the table of real programs into docs/templates.md, from what `socketd explain` says.

Owns which programs those are, and how a row looks. `make explained` runs it; a test says whether
the programs that are installed are still held, or refused, as the table has it. Times and memory
are of the machine on which it was written.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from socketd.dataclass import dataclass

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "templates.md"
HEAD = (
    "| program | `fork` | `load` | `read` | `relay` | memory of a copy | `auto` "
    "| not held at `read` |"
)
SOCKETD = Path(sys.executable).parent / "socketd"
_BEGIN, _END = "<!-- table: explained -->\n", "\n<!-- end -->"
_PATH = "/usr/local/bin:/usr/bin:/bin"  # what Debian brings, not an environment of Python's
_CONNECTIONS = "31"
_LEVELS = ("fork", "load", "read", "relay")
_LOOP = 'while read -r line; do echo "$line"; done'
_REQUEST = b"git-upload-pack /\0host=localhost\0"


@dataclass(frozen=True, slots=True)
class Sample:
    """A program, what its client sends, and whether it needs a repository to run in."""

    words: tuple[str, ...]
    sent: bytes = b"hello world\n"
    has_repository: bool = False

    @property
    def text(self) -> str:
        """Return the command as somebody would type it."""
        return shlex.join(self.words)


SAMPLES = (
    Sample(("cat",)),
    Sample(("bash", "-c", _LOOP)),
    Sample(("dash", "-c", _LOOP)),
    Sample(("awk", "{ print $1 }")),
    Sample(("python3", "-c", "import json, sys; print(json.dumps(sys.stdin.read()))")),
    Sample(("perl", "-pe", "$_ = uc")),
    Sample(("ruby", "-ne", "puts $_.upcase")),
    Sample(("node", "-e", "process.stdin.pipe(process.stdout)")),
    Sample(("git", "upload-pack", "."), b"0000", has_repository=True),
    Sample(
        ("git", "daemon", "--inetd", "--export-all", "--base-path=."),
        b"%04x%s" % (len(_REQUEST) + 4, _REQUEST) + b"0000",
        has_repository=True,
    ),
    Sample(("busybox", "tr", "a-z", "A-Z")),
)


def is_installed(sample: Sample) -> bool:
    """Tell whether the program is there."""
    return shutil.which(sample.words[0], path=_PATH) is not None


def explain(sample: Sample, *options: str) -> dict[str, Any]:
    """Return what `socketd explain` says, the levels by their names."""
    with _surroundings(sample) as folder:
        sent = Path(folder, "sent")
        sent.write_bytes(sample.sent)
        done = subprocess.run(
            [
                str(SOCKETD), "explain", "--json", "--input", str(sent), "--directory", folder,
                *options, "--", *sample.words,
            ],
            env={**os.environ, "PATH": _PATH},
            stdout=subprocess.PIPE,
            check=True,
        )  # fmt: skip
    told: dict[str, Any] = json.loads(done.stdout)
    return told | {"levels": {one["level"]: one for one in told["levels"]}}


@contextmanager
def _surroundings(sample: Sample) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        if sample.has_repository:
            commit = "-c user.name=x -c user.email=x@x commit -q --allow-empty -m x".split()
            for words in (["init", "-q"], commit):
                subprocess.run(["git", "-C", folder, *words], check=True)
        yield folder


def verdict(told: dict[str, Any]) -> tuple[str, str]:
    """Return the last two cells of a row: what holds for a program on any machine."""
    return told["auto"], told["levels"]["read"]["reason"] or ""


def row(sample: Sample, told: dict[str, Any]) -> str:
    """Return a row of the table."""
    levels = told["levels"]
    times = [_milliseconds(levels[name]) for name in _LEVELS]
    memory = " / ".join(_kib(levels[name]) for name in _LEVELS[1:])
    command = sample.text.replace("|", "\\|")
    return _line(f"`{command}`", *times, memory, *verdict(told))


def _milliseconds(level: dict[str, Any]) -> str:
    time = level["first_byte_ms"]
    return "-" if time is None else f"{time:.2f}"


def _kib(level: dict[str, Any]) -> str:
    return "-" if level["private_kib"] is None else str(level["private_kib"])


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |".replace("|  |", "| |")


def main() -> None:
    """Write the table."""
    rows = [row(one, explain(one, "--connections", _CONNECTIONS)) for one in SAMPLES]
    text = PAGE.read_text()
    before, begun, rest = text.partition(_BEGIN)
    _, ended, after = rest.partition(_END)
    if not begun or not ended:
        raise ValueError(f"{PAGE} has no mark {_BEGIN!r} with {_END!r} behind it")
    table = "\n".join([HEAD, "|" + "---|" * (HEAD.count("|") - 1), *rows])
    PAGE.write_text(f"{before}{begun}{table}{ended}{after}")


if __name__ == "__main__":
    main()
