"""Behind a front the request for the trial is one as a web server sends it."""

import shlex
import sys
from pathlib import Path

import pytest

from harness import scgi
from harness.servers import Server
from harness.waiting import wait_for
from socketd.explain.requests import request_of
from socketd.programs.cgi import FrontKind

from .conftest import Script, Start

pytestmark = pytest.mark.slow

PAGE = """#!/usr/bin/env python3
import os, sys
with open({seen!r}, "a") as file:
    body = sys.stdin.read(int(os.environ["CONTENT_LENGTH"]))
    print(os.environ.get("QUERY_STRING"), body, file=file)
sys.stdout.write("Content-Type: text/plain\\r\\n\\r\\ndone")
"""


def warm(server: Server) -> tuple[object, object]:
    """Return what became of the request: exit code, and bytes of the answer."""
    answered = server.wait_event("warm_up_answered")
    return answered["status"], answered["answer_bytes"]


@pytest.mark.parametrize("front", ["scgi", "fcgi"])
def test_copy_on_trial_gets_the_request_as_any_other(
    start: Start, script: Script, tmp_path: Path, front: str
) -> None:
    """Its variables, its body, and no answer to anybody; in one form for both protocols."""
    seen, request = tmp_path / "seen", tmp_path / "request"
    request.write_bytes(scgi.request(b"the body", QUERY_STRING="first"))
    page = script(PAGE.format(seen=str(seen)))
    command = f"{shlex.quote(sys.executable)} -m socketd.hold --cgi {page}"
    more = ("--warm-up", str(request), "--front", front)
    server = start("--ready", "stop!", "-p", command, *more)

    assert warm(server) == (0, len("Content-Type: text/plain\r\n\r\ndone"))
    assert seen.read_text() == "first the body\n"
    if front == "scgi":
        answer = scgi.ask(server.place, scgi.request(b"other", QUERY_STRING="second"))
        assert answer.endswith(b"done")
    else:
        assert b"done" in scgi.ask(server.place, request_of(FrontKind.FCGI, b"other"))
    assert seen.read_text().splitlines()[1].endswith(" other")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"GET / HTTP/1.0\r\n\r\n", "the request does not begin with a netstring"),
        (b"3:abc,", "the head of the request is too short"),
        (scgi.REFUSED, "the request has a variable twice"),
        (scgi.head({"CONTENT_LENGTH": "0", "SCGI": "1"})[:-9], "the request ends within its head"),
    ],
)
def test_request_that_the_front_refuses_is_told_of(
    start: Start, script: Script, tmp_path: Path, content: bytes, words: str
) -> None:
    """The operator has made it, and gets to know what a web server would get to know."""
    request = tmp_path / "request"
    request.write_bytes(content)
    page = script("#!/bin/bash\nkill -STOP $$\necho; echo done\n")
    more = ("--warm-up", str(request))
    server = start("--ready", "stop", "-p", page, *more, is_quiet=False)

    reason = str(server.wait_event("template_fell_back")["reason"])
    assert reason.startswith(f"the request for the trial is refused: {words}")
    assert scgi.ask(server.place, scgi.request()) == b"\ndone\n"


def test_empty_request_is_none(start: Start, script: Script, tmp_path: Path) -> None:
    """The front waits for a head, and there comes the end."""
    request = tmp_path / "request"
    request.touch()
    page = script("#!/bin/bash\nkill -STOP $$\necho; echo done\n")
    server = start("--ready", "stop", "-p", page, "--warm-up", str(request), is_quiet=False)

    reason = server.wait_event("template_fell_back")["reason"]
    assert reason == "a copy on trial has ended before it was in the program"


def test_program_that_crashes_at_the_request_is_not_held(
    start: Start, script: Script, tmp_path: Path
) -> None:
    """As without a front."""
    seen, request = tmp_path / "seen", tmp_path / "request"
    request.write_bytes(scgi.request(QUERY_STRING="first"))
    text = (
        f"kill -STOP $$\necho; echo $QUERY_STRING >> {seen}; test $QUERY_STRING || kill -SEGV $$\n"
    )
    page = script("#!/bin/bash\n" + text.replace("||", "= second ||"))
    server = start("--ready", "stop", "-p", page, "--warm-up", str(request), is_quiet=False)

    reason = server.wait_event("template_fell_back")["reason"]
    assert reason == "a copy on trial was ended by SIGSEGV"
    scgi.ask(server.place, scgi.request(QUERY_STRING="second"))
    wait_for(lambda: seen.read_text() == "first\nsecond\n", "the second")
