"""What the log says of requests: what was left out of them, and why they were refused."""

import shutil

import pytest

from harness import scgi

from .conftest import Script, Start
from .test_levels import LEVELS, stopping

pytestmark = pytest.mark.slow

ENVIRONMENT = "#!/bin/sh\nprintf '\\r\\n'; env\n"


@LEVELS
def test_log_names_what_is_left_out_once(start: Start, script: Script, level: str) -> None:
    """A web server sends it with every request."""
    server = start("--ready", level, "-p", script(stopping(level, ENVIRONMENT)), is_quiet=False)
    whole = scgi.request(LD_LIBRARY_PATH="evil", PYTHONUNBUFFERED="1", KEPT="1")

    for _ in range(3):
        answer = scgi.ask(server.place, whole)
        assert (b"evil" in answer, b"KEPT=1" in answer) == (False, True)
    server.wait_statuses(3)

    (line,) = server.events("variable_left_out")
    assert (line["variable"], line["others"], line["level"]) == ("LD_LIBRARY_PATH", 1, "warning")


@LEVELS
def test_log_says_why_a_request_is_refused(start: Start, script: Script, level: str) -> None:
    """Status, reason and variable are there, beside the peer."""
    server = start("--ready", level, "-p", script(stopping(level, ENVIRONMENT)), is_quiet=False)
    answer = scgi.ask(server.place, scgi.REFUSED)
    line = server.wait_event("request_refused")

    reason = "the request has a variable twice that says where it ends"
    assert answer.endswith(f"{reason}: CONTENT_LENGTH\n".encode())
    assert (line["status"], line["reason"], line["variable"]) == (400, reason, "CONTENT_LENGTH")
    assert line["peer"].startswith("127.0.0.1:")
    assert server.wait_statuses(1) == [65]


def test_limit_of_the_body_is_told_with_the_trace(start: Start, script: Script) -> None:
    """The log has the request's trace, by which one finds it elsewhere."""
    server = start("--body-limit", "1K", "-p", script(ENVIRONMENT), is_quiet=False)
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    whole = scgi.request(bytes(1025), HTTP_TRACEPARENT=f"00-{trace}-00f067aa0ba902b7-01")
    answer = scgi.ask(server.place, whole)
    line = server.wait_event("request_refused")

    assert answer.startswith(b"Status: 413 ")
    assert (line["status"], line["variable"], line["trace"]) == (413, "CONTENT_LENGTH", trace)


def test_strangers_cannot_fill_the_log(start: Start, script: Script) -> None:
    """Of names that are made up at random only the first few are told."""
    server = start("-p", script(ENVIRONMENT), is_quiet=False)

    for number in range(20):
        scgi.ask(server.place, scgi.request(**{f"HTTP_{number}!": "x"}))
    server.wait_statuses(20)

    told = {line["variable"] for line in server.events("variable_left_out")}
    assert (len(told), told <= {f"HTTP_{number}!" for number in range(20)}) == (16, True)


def test_refusal_of_a_folder_says_why(start: Start, script: Script) -> None:
    """What the client sees is in the log, too."""
    folder = script(ENVIRONMENT, "bin/there").rpartition("/")[0]
    server = start("--root", folder, is_quiet=False)
    scgi.ask(server.place, scgi.request(PATH_INFO="/elsewhere"))
    line = server.wait_event("request_refused")

    assert (line["status"], line["reason"]) == (404, "there is no such program")
    assert line["variable"] is None


def test_tcl_writes_line_ends_of_its_own_by_tcp_alone(start: Start, script: Script) -> None:
    """It looks what its standard output is; docs/cgi.md has the remedy."""
    if shutil.which("tclsh") is None:
        pytest.skip("no tclsh")
    text = '#!/usr/bin/env tclsh\n{}puts {{}}\nputs -nonewline "a\\nb"\n'
    answers = []
    for remedy in ("", "fconfigure stdout -translation binary\n"):
        program = script(text.format(remedy))
        tcp = start("-p", program)
        answers.append(scgi.ask(tcp.place, scgi.request()))
    assert answers == [b"\r\na\r\nb", b"\na\nb"]
