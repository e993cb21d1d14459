"""A template is never older than the files that it was made from, and nobody waits for the next."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.clients import exchange
from harness.servers import Server
from harness.supervisors import Supervisor
from harness.waiting import wait_for
from socketd.system.products import is_built

from .conftest import Compile, Start

pytestmark = pytest.mark.slow

PAIR = """
[service.busy]
listen = ["tcp:127.0.0.1:0"]
program = "{folder}/script"
ready = "load!"

[service.witness]
listen = ["tcp:127.0.0.1:0"]
program = "{folder}/witness"
ready = "load!"
"""
USER = """
#include <stdio.h>
const char *version(void);
int main(void) { puts(version()); return 0; }
"""


def library(compile_c: Compile, version: str) -> str:
    """Return a library that knows its version."""
    text = f'const char *version(void) {{ return "{version}"; }}'
    return compile_c(text, "-shared", "-fPIC", "-Wl,-soname,libversion.so")


def install(path: Path, source: str) -> None:
    """Put a file in its place, as an installer does."""
    new = path.with_name("new")
    shutil.copy(source, new)
    new.replace(path)


def wait_renewed(server: Server, known: int) -> None:
    """Wait for one template more than are known."""
    wait_for(lambda: len(server.events("template_started")) > known, "another template")


def test_library_that_is_replaced_under_load(
    start: Start, compile_c: Compile, tmp_path: Path
) -> None:
    """Each client is answered by the old one or the new one, soon by the new one only."""
    place = tmp_path / "libversion.so"
    install(place, library(compile_c, "old"))
    flags = (str(place), f"-Wl,-rpath,{tmp_path}")
    server = start("auto", compile_c(USER, *flags))
    assert exchange(server.place) == b"old\n"

    install(place, library(compile_c, "new"))

    def is_new() -> bool:
        answer = exchange(server.place)
        assert answer in (b"old\n", b"new\n")
        return answer == b"new\n"

    wait_for(is_new, "the new library answers")
    server.wait_settled(idle=2)
    assert [exchange(server.place) for _ in range(5)] == [b"new\n"] * 5


def test_executable_that_is_replaced(start: Start, compile_c: Compile, tmp_path: Path) -> None:
    """Also by way of a link to the folder of its version."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        text = f'#include <stdio.h>\nint main(void) {{ puts("{name}"); return 0; }}'
        shutil.copy(compile_c(text), tmp_path / name / "program")
    current, following = tmp_path / "current", tmp_path / "next"
    current.symlink_to("old")
    server = start("load!", str(current / "program"))
    assert exchange(server.place) == b"old\n"

    following.symlink_to("new")
    following.replace(current)

    wait_for(lambda: exchange(server.place) == b"new\n", "the new one answers")


def write(path: Path, text: str) -> None:
    """Write over a file, as some editors do."""
    path.write_text(text)


def put(path: Path, text: str) -> None:
    """Put another file in its place, as other editors do."""
    path.with_name("new").write_text(text)
    path.with_name("new").replace(path)


@pytest.mark.parametrize("save", [write, put])
def test_script_that_has_been_read_already(
    start: Start, tmp_path: Path, save: Callable[[Path, str], None]
) -> None:
    """At `read` the template knows the old text."""
    script = tmp_path / "script"
    script.write_text("def answer(): return 'old'\ninput()\nprint(answer())\n")
    server = start("read!", f"python3 -IS {script}")
    assert exchange(server.place, b"a\n") == b"old\n"

    save(script, "def answer(): return 'new'\ninput()\nprint(answer())\n")

    wait_for(lambda: exchange(server.place, b"a\n") == b"new\n", "the new text answers")


def test_program_that_is_away_for_a_while_is_loaded_when_it_is_back(
    start: Start, compile_c: Compile, tmp_path: Path
) -> None:
    """Meanwhile it cannot be run by anybody; nobody has to say that it is there again."""
    program = tmp_path / "program"
    text = '#include <stdio.h>\nint main(void) { puts("here"); return 0; }'
    shutil.copy(compile_c(text), program)
    server = start("auto", str(program), is_quiet=False)
    assert exchange(server.place) == b"here\n"
    count = len(server.events("template_started"))

    program.rename(tmp_path / "away")
    wait_renewed(server, count)
    assert server.events("template_started")[-1]["ready"] == "fork"
    os.rename(tmp_path / "away", program)

    wait_for(lambda: server.events("template_started")[-1]["ready"] == "load", "it is loaded")
    wait_for(lambda: exchange(server.place) == b"here\n", "it answers")


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    """Lend two services of one master, whose program lies in the folder in which it was started."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "script", "#!/usr/bin/env cat\n")
    (tmp_path / "script").chmod(0o755)
    install(tmp_path / "witness", str(shutil.which("cat")))
    file = tmp_path / "services.toml"
    file.write_text(PAIR.format(folder=tmp_path))
    supervisor = Supervisor(file, level="debug")
    yield supervisor
    supervisor.server.close()


def count_started(pair: Supervisor, service: str) -> int:
    """Return how many templates of a service have been ready."""
    lines = pair.server.events("template_started")
    return sum(line["service"] == service for line in lines)


def wait_started(pair: Supervisor, service: str, known: int) -> None:
    """Wait for one template of a service more than are known."""
    wait_for(lambda: count_started(pair, service) > known, f"another template of {service}")


def test_busy_folder_renews_nothing(pair: Supervisor, tmp_path: Path) -> None:
    """Although it is watched for a file that the first line of a script may mean."""
    assert exchange(pair.place("busy")) == b"#!/usr/bin/env cat\n"
    count = count_started(pair, "busy")

    for name in ("cat.new", "ca"):
        put(tmp_path / name, "")
        exchange(pair.place("busy"))
    # What changes later is noticed later. The second begins when the first is over, and whatever
    # has begun before that.
    for _ in range(2):
        known = count_started(pair, "witness")
        install(tmp_path / "witness", str(shutil.which("cat")))
        wait_started(pair, "witness", known)
    assert count_started(pair, "busy") == count

    put(tmp_path / "cat", "")

    wait_started(pair, "busy", count)
