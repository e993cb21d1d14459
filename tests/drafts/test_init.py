"""`socketd init`: a file without mistakes from options or answers, and nothing else."""

import os
import pty
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from harness.supervisors import SOCKETD, run_socketd
from socketd.cli.init import InitOptions, init
from socketd.drafts.unit import unit_of
from socketd.errors import ConfigurationError, ExitCode, UsageError

IS_ROOT = os.geteuid() == 0


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have relative paths lead into a folder of the test."""
    monkeypatch.chdir(tmp_path)


def made(**options: object) -> tuple[dict[str, object], str]:
    """Return the one service of a new file, and what was said."""
    said = init(InitOptions("new.toml", takes_defaults=True, **options))  # type: ignore[arg-type]  # each of its kind
    [service] = tomllib.loads(Path("new.toml").read_text())["service"].items()
    return {"name": service[0], **service[1]}, said


def test_program_alone_is_enough() -> None:
    """All else has a default, and the file passes a check, since init makes one."""
    service, said = made(program="cat")

    assert service["name"] == "cat"
    assert service["listen"] == "tcp:127.0.0.1:7000"
    assert service["program"] == "cat"
    assert service.get("user") == ("nobody" if IS_ROOT else None)
    assert "    socketd run new.toml\n" in said
    assert said.endswith("echo hello | socket -N 127.0.0.1 7000")


def test_service_of_inetd_leaves_children_as_there() -> None:
    """With a maximum, an address and a name of its own."""
    service, _ = made(kind="inetd", program="cat -u", listen="7001", name="echo", most=9)

    assert (service["name"], service["listen"], service["keep_children"]) == (
        "echo",
        "tcp:7001",
        True,
    )
    assert service["workers"] == {"max": 9}


@pytest.mark.parametrize("protocol", ["scgi", "fcgi"])
@pytest.mark.parametrize("what", [{"root": "."}, {"program": "cat", "kind": "cgi-program"}])
def test_cgi_programs_have_a_front(what: dict[str, str], protocol: str, tmp_path: Path) -> None:
    """A folder is named as an absolute path, whatever was typed."""
    service, said = made(protocol=protocol, listen="./web.sock", **what)

    listen = service["listen"]
    address = listen["address"] if isinstance(listen, dict) else listen
    assert (service["front"], address) == (protocol, f"unix:{tmp_path}/web.sock")
    assert service.get("root", str(tmp_path)) == str(tmp_path)
    assert "docs/cgi.md" in said


def test_every_example_in_a_file_is_one_without_mistakes() -> None:
    """Somebody will take the # away."""
    for options in ({"program": "cat"}, {"program": "cat", "kind": "inetd"}, {"root": "."}):
        made(may_replace=True, **options)
        lines = Path("new.toml").read_text().splitlines()
        text = "\n".join(one.removeprefix("# ") if " = " in one else one for one in lines)
        Path("new.toml").write_text(text)
        assert run_socketd("check", "new.toml").stderr == ""
        assert text.count(" = ") > 8


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, "--program COMMAND is missing, and there is no terminal to ask at"),
        ({"kind": "cgi-folder"}, "--root FOLDER is missing"),
        ({"program": "cat", "root": "."}, "give either --program COMMAND or --root FOLDER"),
        ({"root": ".", "kind": "inetd"}, "--root is for the kind cgi-folder, not for inetd"),
        ({"program": "cat", "kind": "cgi-folder"}, "--program is not for the kind cgi-folder"),
        ({"program": "cat", "kind": "inetd", "protocol": "scgi"}, "--protocol is for CGI programs"),
        ({"program": "cat", "name": "a b"}, "'a b' is not a name of up to 64 letters"),
        ({"program": "cat", "listen": "x.sock"}, "'x.sock' is no address to listen on"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, str], why: str) -> None:
    """In one line, and nothing is written."""
    with pytest.raises(UsageError) as caught:
        made(**options)

    assert why in str(caught.value)
    assert os.listdir() == []


def test_what_cannot_be_served_is_not_written() -> None:
    """The line is that of a check, without the name of a file that there is not."""
    with pytest.raises(ConfigurationError) as caught:
        made(program="no-such-program")

    assert caught.value.lines[0].startswith(
        "cannot serve that, so nothing is written: service.no-such-program.program: found "
    )
    assert os.listdir() == []


@pytest.mark.parametrize("unit", [None, "new.service"])
def test_what_is_there_is_not_overwritten(unit: str | None) -> None:
    """Neither the file nor the unit, unless that is wanted."""
    there = Path(unit or "new.toml")
    there.write_text("mine")

    with pytest.raises(UsageError, match="is there already: give --force"):
        made(program="cat", unit=unit)

    assert there.read_text() == "mine"
    assert os.listdir() == [there.name]
    made(program="cat", unit=unit, may_replace=True)
    assert there.read_text() != "mine"


@pytest.mark.slow
def test_questions_are_asked_at_a_terminal(tmp_path: Path) -> None:
    """An empty answer is the default, and a wrong one is asked again."""
    ours, theirs = pty.openpty()
    answers = ["novel", "program", "", "cat -u", "", "x.sock", "127.0.0.1:7123"]
    answers += [""] * 3
    os.write(ours, "".join(f"{one}\n" for one in answers).encode())

    done = subprocess.run(
        [SOCKETD, "init"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        cwd=tmp_path,
        timeout=60,
        check=True,
        text=True,
    )

    os.close(theirs)
    asked = os.read(ours, 65536).decode()
    os.close(ours)
    assert "cgi-folder   a folder of CGI programs, for a web server\r\n" in asked
    assert "Kind of service [program]: " in asked
    assert "'novel' is not one of program, inetd, cgi-folder, cgi-program\r\n" in asked
    assert "'x.sock' is no address to listen on" in asked
    assert done.stdout.startswith("./socketd.toml is written and has no mistakes. Next:\n")
    service = tomllib.loads((tmp_path / "socketd.toml").read_text())["service"]["cat"]
    assert (service["listen"], service["program"]) == ("tcp:127.0.0.1:7123", "cat -u")


def test_unit_hides_nothing_that_is_used() -> None:
    """With a folder /tmp of its own nobody would reach a socket there."""
    assert "PrivateTmp" in unit_of("new", ("socketd",), "/etc/a.toml", "unix:/run/a", "/srv/a")
    assert "PrivateTmp" not in unit_of("new", ("socketd",), "/tmp/a.toml", "7000", "cat")
    assert "PrivateTmp" not in unit_of("new", ("socketd",), "/etc/a.toml", "unix:/var/tmp/a", "cat")


@pytest.mark.slow
def test_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    """With words that it would read otherwise."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    program = tmp_path / "a b%c$d;e"
    program.symlink_to("/bin/true")
    unit = tmp_path / "new.service"
    unit.write_text(unit_of("new", (str(program),), f"{tmp_path}/new file.toml"))

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, [one for one in done.stderr.splitlines() if "new.service" in one]) == (
        0,
        [],
    )


@pytest.mark.slow
def test_mistake_is_one_line_with_its_code(tmp_path: Path) -> None:
    """As of every command."""
    outcome = run_socketd("init", str(tmp_path / "no" / "file.toml"), "--program", "cat", "--yes")

    assert outcome.status == ExitCode.SYSTEM
    assert (
        outcome.stderr
        == f"socketd: cannot write '{tmp_path}/no/file.toml': No such file or directory\n"
    )
