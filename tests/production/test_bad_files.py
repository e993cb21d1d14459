"""Files that nobody would write on purpose: one line each, at the start and at a reload."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.clients import exchange
from harness.servers import Outcome
from harness.supervisors import Supervisor, run_socketd

SOUND = '[service.echo]\nlisten = ["unix:{folder}/s"]\nprogram = "cat"\n'
TEXTS: dict[str, str | bytes] = {
    "a name with a NUL": SOUND + 'user = "a\\u0000b"\n',
    "a host with a NUL": SOUND.replace("unix:{folder}/s", "tcp:a\\u0000b:80"),
    "an argument with a NUL": SOUND.replace('"cat"', '["cat", "a\\u0000b"]'),
    "a variable with a NUL": SOUND + 'environment = {{ A = "a\\u0000b" }}\n',
    "5,000 digits": SOUND + f"backlog = {'9' * 5000}\n",
    "50,000 hexadecimal digits": SOUND + f"backlog = 0x{'f' * 50000}\n",
    "infinity": SOUND + "nice = inf\n",
    "no number": SOUND + "nice = nan\n",
    "a limit of 2**64": SOUND + "limits = {{ nofile = 18446744073709551616 }}\n",
    "a time of 1e308": SOUND + 'hold_timeout = "1e308"\n',
    "lists in lists": f"x = {'[' * 10000}{']' * 10000}\n",
    "tables in tables": "x = " + "{{a = " * 10000 + "1" + "}}" * 10000 + "\n",
    "a deep table": f"[{'.'.join('a' * 10000)}]\n",
    "a deep key": f"{'.'.join('a' * 10000)} = 1\n",
    "a deep quoted key": '{{ "a".' + '"a" . ' * 10000 + '"a" = 1 }}\n',
    "bytes that are no text": SOUND.encode() + b"# \xff\xfe\n",
    "a lone surrogate": SOUND.encode() + b"# \xed\xa0\x80\n",
    "UTF-16": SOUND.encode("utf-16"),
    "nothing but NUL": b"\0" * 100,
    "a key twice": SOUND + 'program = "cat"\n',
}


def make_fifo(path: Path) -> None:
    """Make a FIFO into which nobody writes."""
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    """Make a socket."""
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


def make_endless(path: Path) -> None:
    """Make a link to a device that never ends."""
    path.symlink_to("/dev/zero")


def make_huge(path: Path) -> None:
    """Make a file of eight gibibytes of which none is on disk."""
    path.touch()
    os.truncate(path, 2**33)


THINGS: dict[str, Callable[[Path], None]] = {
    "a FIFO": make_fifo,
    "a socket": make_socket,
    "a device": make_endless,
    "a huge file": make_huge,
    "a directory": Path.mkdir,
    "nothing": lambda _: None,
}


def put(path: Path, kind: str) -> None:
    """Put something in the place of the file."""
    text = TEXTS.get(kind)
    fresh = path.with_name("fresh")
    if text is None:
        path.unlink(missing_ok=True)
        THINGS[kind](path)
    else:
        raw = text.format(folder=path.parent).encode() if isinstance(text, str) else text
        fresh.write_bytes(raw)
        fresh.replace(path)


def take_away(path: Path) -> None:
    """Take away what stands in the place of the file."""
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*TEXTS, *THINGS])
def test_file_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    """`check` ends with 1, `run` with 78, and both say why in a line."""
    file = tmp_path / "services.toml"
    put(file, kind)
    checked, run = run_socketd("check", str(file)), run_socketd("run", str(file))
    if kind == "a directory":  # the wrong kind of operand
        assert (checked.status, run.status) == (15, 15)
        return

    assert (checked.status, run.status) == (1, 78)
    assert complaint(checked) == complaint(run)
    assert complaint(run).startswith(f"socketd: {file}: ")


def complaint(outcome: Outcome) -> str:
    """Return the line on stderr that begins with the name of the program: there is one."""
    lines = outcome.stderr.splitlines()
    assert [line for line in lines if line.isprintable()] == lines
    assert len({line.split(": ")[2].split(".")[0] for line in lines}) == len(lines)
    return lines[0]


@pytest.mark.slow
def test_reload_of_such_a_file_changes_nothing(tmp_path: Path) -> None:
    """Each is told in one line of the log, at once, and the services go on as before."""
    file = tmp_path / "services.toml"
    file.write_text(SOUND.format(folder=tmp_path))
    supervisor = Supervisor(file, is_quiet=False)
    try:
        place = supervisor.place("echo")
        for kind in [*TEXTS, *THINGS]:
            take_away(file)
            put(file, kind)
            verdict = supervisor.reload()
            assert (kind, verdict["event"]) == (kind, "reload_failed")
            assert verdict["reason"].startswith(f"{file}: ")
            assert verdict["reason"].isprintable()
            assert exchange(place, b"hello") == b"hello"
        take_away(file)
        file.write_text(SOUND.format(folder=tmp_path))
        assert supervisor.reload()["event"] == "reloaded"
        assert supervisor.server.stop() == 0
    finally:
        supervisor.server.close()


def test_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    """Some editors put it first, and do not show it."""
    file = tmp_path / "services.toml"
    file.write_bytes(b"\xef\xbb\xbf" + SOUND.format(folder=tmp_path).encode())

    assert run_socketd("check", str(file)).status == 0
