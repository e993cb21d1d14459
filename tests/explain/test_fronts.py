"""`socketd explain --front`: a CGI program, asked as a web server asks it."""

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from socketd.explain.requests import errand_to, request_of
from socketd.programs.cgi import FrontKind

from .conftest import Begin, Explain

pytestmark = pytest.mark.slow

PAGE = """#!/usr/bin/env python3
import os, sys
body = sys.stdin.read(int(os.environ["CONTENT_LENGTH"]))
sys.stdout.write(f"Content-Type: text/plain\\r\\n\\r\\n{os.environ['REQUEST_METHOD']} {body}")
"""
SHELL_PAGE = """#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n%s ' "$REQUEST_METHOD"
head -c "$CONTENT_LENGTH"
"""


@pytest.fixture
def page(tmp_path: Path) -> Callable[[str], str]:
    """Return a function that writes a CGI program and returns its path."""

    def write(text: str) -> str:
        path = tmp_path / "page.cgi"
        path.write_text(text)
        path.chmod(0o755)
        return shlex.quote(str(path))

    return write


@pytest.mark.parametrize(
    ("body", "answer"), [((), "GET "), (("--send", "a=b"), "POST a=b\n")], ids=["get", "post"]
)
def test_script_in_python_is_looked_at_as_socketd_cgi_runs_it(
    explain: Explain, page: Callable[[str], str], body: tuple[str, ...], answer: str
) -> None:
    """At stop it has done its imports; where it would read its variables too early it cannot be."""
    told = explain("--front", "scgi", *body, page(PAGE))

    levels = told["levels"]
    size = len(f"Content-Type: text/plain\r\n\r\n{answer}")
    assert (told["auto"], told["cgi"], told["cgi_reason"]) == ("load", "stop", None)
    for level in ("fork", "load", "stop"):
        found = levels[level]
        assert (found["works"], found["statuses"], found["answer_bytes"]) == (True, [0] * 3, size)
    for level in ("read", "relay"):
        assert not levels[level]["works"]
        assert "reads its variables before there is a request" in levels[level]["reason"]


def test_any_other_program_is_held_before_its_main(
    explain: Explain, page: Callable[[str], str]
) -> None:
    """Nobody else can say where its start is over."""
    told = explain("--front", "scgi", page(SHELL_PAGE))

    assert list(told["levels"]) == ["fork", "load", "read", "relay"]
    assert (told["auto"], told["cgi"]) == ("load", None)
    assert told["levels"]["load"]["statuses"] == [0] * 3


def test_program_behind_fastcgi_is_asked_in_records(
    explain: Explain, page: Callable[[str], str]
) -> None:
    """The levels are those of the other protocol."""
    told = explain("--front", "fcgi", "--send", "a=b", page(PAGE))

    levels = told["levels"]
    size = len("Content-Type: text/plain\r\n\r\nPOST a=b\n")
    for level in ("fork", "load", "stop"):
        found = levels[level]
        assert (found["works"], found["statuses"], found["same_answer"]) == (True, [0] * 3, True)
        assert found["answer_bytes"] == size
    assert (told["auto"], told["cgi"]) == ("load", "stop")
    assert told["program"].endswith("/page.cgi")


def test_table_says_what_the_front_rules_out(begin: Begin, page: Callable[[str], str]) -> None:
    """That is known without a start."""
    output, status = begin("--front", "scgi", page(PAGE)).finish()

    text = output.decode()
    assert status == 0
    assert re.search(r"^read +- +- +not possible: at the level read", text, re.MULTILINE)
    assert "auto takes load\nsocketd cgi takes stop\n" in text


def test_level_of_services_behind_a_front_is_told(
    begin: Begin, page: Callable[[str], str], tmp_path: Path
) -> None:
    """`check --explain` says also why a folder of programs leaves no other."""
    program = shlex.split(page(SHELL_PAGE))[0]
    file = tmp_path / "services.toml"
    head = "[service.{0}]\nlisten = ['tcp:127.0.0.1:{1}']\nfront = '{0}'\n"
    file.write_text(
        head.format("scgi", 1) + f"program = ['{program}']\n"
        + head.format("fcgi", 2) + f"program = ['{program}']\n"
        + head.format("scgi", 3).replace("service.scgi", "service.root") + f"root = '{tmp_path}'\n"
    )  # fmt: skip
    output, status = begin(str(file), "--explain", subcommand="check").finish()

    assert status == 0
    scgi, fcgi, root = output.decode().splitlines()
    assert scgi == "service.scgi: load: held before main()"
    assert fcgi == "service.fcgi: load: held before main()"
    assert root.startswith("service.root: fork: not started ahead: a request names the program")


def test_long_values_and_bodies_have_their_form() -> None:
    """A body of more than one record, and none without a front."""
    body = bytes(70000)

    assert request_of(FrontKind.NONE, body) == body
    assert request_of(FrontKind.SCGI, body).endswith(b"SCGI\0001\0," + body)
    records = request_of(FrontKind.FCGI, body)
    assert records.endswith(b"\1\5\0\1\x11\x71\0\0" + bytes(4465) + b"\1\5\0\1\0\0\0\0")


def test_answer_in_records_is_the_same_however_it_is_cut() -> None:
    """What goes over the connection beside it is none of the program's."""
    read = errand_to(FrontKind.FCGI, b"").new_reader()
    records = (
        b"\1\6\0\1\0\3\5\0abc_____" b"\1\7\0\1\0\2\0\0no" b"\1\6\0\1\0\1\0\0d"
        b"\1\6\0\1\0\0\0\0" b"\1\3\0\1\0\x08\0\0" + bytes(8)
    )  # fmt: skip

    assert b"".join(read(bytes([one])) for one in records) == b"abcd"
    assert errand_to(FrontKind.FCGI, b"").new_reader()(records) == b"abcd"
    assert errand_to(FrontKind.SCGI, b"").new_reader()(records) == records


def test_programs_of_debian_are_explained(explain: Explain) -> None:
    """One that is a CGI program and an ordinary one."""
    if shutil.which("perl") is None:
        pytest.skip("perl is not installed")
    told = explain(
        "--front", "scgi", "perl", "-e", r'print "Content-Type: a/b\n\n$ENV{SERVER_NAME}"'
    )

    assert told["levels"]["load"]["answer_bytes"] == len("Content-Type: a/b\n\nlocalhost")
