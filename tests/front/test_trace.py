"""TRACEPARENT: the trace that a request belongs to, for the program and in the log."""

from itertools import chain

import pytest

from harness import scgi

from .conftest import Script, Start, answered
from .test_levels import LEVELS, stopping

pytestmark = pytest.mark.slow

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
WHOLE = f"00-{TRACE}-{PARENT}-01"
ENVIRONMENT = "#!/bin/sh\nprintf '\\r\\n'; env\n"
# https://www.w3.org/TR/trace-context/#versioning-of-traceparent: a later version may say more.
VALID = {
    WHOLE: WHOLE,
    f"00-{TRACE}-{PARENT}-00": f"00-{TRACE}-{PARENT}-00",
    f"cc-{TRACE}-{PARENT}-ff": f"cc-{TRACE}-{PARENT}-ff",
    f"01-{TRACE}-{PARENT}-01-more": f"01-{TRACE}-{PARENT}-01",
}
INVALID = (
    "",
    "00",
    WHOLE[:-1],
    f"{WHOLE}-more",
    f"{WHOLE}0",
    f" {WHOLE}",
    f"{WHOLE} ",
    f"{WHOLE}, {WHOLE}",
    WHOLE.upper(),
    f"01-{TRACE}-{PARENT}-01.more",
    f"ff-{TRACE}-{PARENT}-01",
    f"0g-{TRACE}-{PARENT}-01",
    f"00-{'0' * 32}-{PARENT}-01",
    f"00-{TRACE}-{'0' * 16}-01",
    f"00-{TRACE[:-1]}g-{PARENT}-01",
    f"00-{TRACE}-{PARENT[:-1]}g-01",
    f"00-{TRACE}-{PARENT}-0g",
    f"00_{TRACE}-{PARENT}-01",
    f"00-{TRACE}_{PARENT}-01",
    f"00-{TRACE}-{PARENT}_01",
    f"00-{TRACE}-{PARENT}\n-01",
)


@pytest.mark.shipped
def test_only_what_is_a_traceparent_is_passed_on(scgi2cgi: str, script: Script) -> None:
    """A header is a stranger's: what does not keep to the grammar of W3C reaches no TRACEPARENT."""
    program = script(ENVIRONMENT)
    for header, wanted in chain(VALID.items(), ((one, None) for one in INVALID)):
        lines = answered(scgi2cgi, program, HTTP_TRACEPARENT=header).splitlines()
        found = [line for line in lines if line.startswith("TRACEPARENT=")]
        assert found == ([] if wanted is None else [f"TRACEPARENT={wanted}"]), header


def test_what_the_web_server_or_the_service_says_counts(
    scgi2cgi: str, script: Script, start: Start
) -> None:
    """A TRACEPARENT that somebody has set is not replaced by that of a header."""
    said = answered(scgi2cgi, script(ENVIRONMENT), HTTP_TRACEPARENT=WHOLE, TRACEPARENT="mine")
    assert "\nTRACEPARENT=mine\n" in said
    server = start("--env", "TRACEPARENT=ours", "-p", script(ENVIRONMENT), is_quiet=False)
    answer = scgi.ask(server.place, scgi.request(HTTP_TRACEPARENT=WHOLE))
    assert (b"\nTRACEPARENT=ours\n" in answer, answer.count(b"\nTRACEPARENT=")) == (True, 1)


def test_header_that_may_not_come_is_no_trace(start: Start, script: Script) -> None:
    """Who has said which variables a request may set has said it of this one, too."""
    server = start(
        "--request-variables", "REQUEST_METHOD", "-p", script(ENVIRONMENT), is_quiet=False
    )
    answer = scgi.ask(server.place, scgi.request(HTTP_TRACEPARENT=WHOLE))
    assert b"TRACEPARENT" not in answer


@LEVELS
def test_log_has_the_trace_of_a_connection(start: Start, script: Script, level: str) -> None:
    """The end of a connection by SCGI tells which trace it belonged to, null if to none."""
    server = start("--ready", level, "-p", script(stopping(level, ENVIRONMENT)), is_quiet=False)
    answer = scgi.ask(server.place, scgi.request(HTTP_TRACEPARENT=WHOLE))
    assert f"\nTRACEPARENT={WHOLE}\n".encode() in answer
    server.wait_statuses(1)
    scgi.ask(server.place, scgi.request(HTTP_TRACEPARENT=WHOLE, LD_PRELOAD="evil"))
    server.wait_statuses(2)
    scgi.ask(server.place, scgi.request(HTTP_TRACEPARENT="x"))
    server.wait_statuses(3)

    assert [one["trace"] for one in server.events("connection_closed")] == [TRACE, TRACE, None]
    assert [one["variable"] for one in server.events("variable_left_out")] == ["LD_PRELOAD"]
