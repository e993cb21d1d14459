"""What a client is told when there is no program, or none that answers."""

import signal
from pathlib import Path

import pytest

from harness.waiting import wait_for
from harness.webservers import ask
from web.conftest import COMPLAINT, ONE_OF_EACH, Combination, Web, serving

pytestmark = pytest.mark.slow

# What each server makes of an answer that is none. By FastCGI our own is there before theirs.
NOTHING = {"nginx": 502, "apache": 500, "lighttpd": 500}
OUR_NOTHING = (502, b"the program has ended without an answer\n")
# lighttpd keeps quiet
SERVERS_WORDS = {
    "nginx": "upstream prematurely closed connection",
    "apache": "End of script output before headers: crash",
}
NOBODY = {"nginx": 502, "apache": 503, "lighttpd": 503, "caddy": 502, "haproxy": 503}
NO_HEADERS = {"nginx": 502, "apache": 500, "lighttpd": 502, "caddy": 502, "haproxy": 502}


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("missing", 404, b"there is no such program\n"),
        ("", 404, b"there is no such program\n"),
        ("letter", 403, b"what the path names is not a program that may be run\n"),
    ],
    ids=["missing", "empty", "no program"],
)
def test_request_for_no_program_is_refused(web: Web, path: str, status: int, reason: bytes) -> None:
    """The refusal and its reason are ours, passed on by the server as any answer."""
    answer = ask(web.place, f"/cgi-bin/{path}")

    assert (answer.status, answer.body) == (status, reason)


def test_way_out_of_the_folder_is_closed(web: Web) -> None:
    """No spelling of ".." reaches a program outside the folder."""
    for path in ("../../bin/sh", "%2e%2e/%2e%2e/bin/sh", "..%2f..%2fbin%2fsh"):
        answer = ask(web.place, f"/cgi-bin/{path}")
        # Caddy has nothing there, and says so with an empty page.
        assert answer.status in (400, 403, 404) or (web.kind, answer.body) == ("caddy", b"")


@pytest.mark.parametrize("name", ["silent", "crash"])
def test_program_without_a_word_is_an_error(web: Web, name: str) -> None:
    """The client hears of an error, not of an empty page, and the next request is served."""
    answer = ask(web.place, f"/cgi-bin/{name}")

    if web.way.protocol == "fastcgi":
        assert (answer.status, answer.body) == OUR_NOTHING
    else:
        assert answer.status == NOTHING[web.kind]
    assert ask(web.place, "/cgi-bin/status").status == 418


@pytest.mark.parametrize("way", ONE_OF_EACH, ids=str)
def test_program_that_says_nothing_for_long_is_given_up(way: Combination, programs: Path) -> None:
    """After the time that the file gives it the client gets 504, and the program ends."""
    with serving(way, programs, patience_seconds=1) as web:
        assert ask(web.place, "/cgi-bin/mute").status == 504

        wait_for(lambda: not web.running(), "the program has ended")


@pytest.mark.parametrize("way", ONE_OF_EACH, ids=str)
def test_server_says_that_nobody_listens(way: Combination, programs: Path) -> None:
    """As long as ours does not run the client hears that it is not there, at once."""
    with serving(way, programs) as web:
        assert web.backend.stop() in (0, 256 - signal.SIGTERM)

        assert ask(web.place, "/cgi-bin/status").status == NOBODY[web.kind]


def test_answer_without_headers_is_an_error(web: Web) -> None:
    """What is no CGI answer is not shown as one."""
    assert ask(web.place, "/cgi-bin/junk").status == NO_HEADERS[web.kind]


def test_operator_finds_out_why(web: Web) -> None:
    """What a program complains of is in a log and never in an answer; the server tells the rest."""
    answer = ask(web.place, "/cgi-bin/crash")

    assert COMPLAINT.encode() not in answer.body
    if web.kind == "caddy":
        return  # it drops both
    if web.way.protocol == "fastcgi":
        web.server.wait_logged(COMPLAINT)
        web.server.wait_logged("crash was ended by signal 11, without an answer")
        return
    if web.way.backend != "wrapper":  # which has the system's log, if there is one
        wait_for(lambda: COMPLAINT in web.backend.noise, "the complaint is in our log")
    if web.kind in SERVERS_WORDS:
        web.server.wait_logged(SERVERS_WORDS[web.kind])
