"""The limits of one request: each has its status for the web server, and a line with the trace."""

import pytest

from harness.fastcgi import Record, Type, begin, encode_pairs, stream

from .conftest import Script, Start
from .wrappers import HEAD

pytestmark = pytest.mark.slow

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACED = {"REQUEST_METHOD": "POST", "HTTP_TRACEPARENT": f"00-{TRACE}-00f067aa0ba902b7-01"}


def test_body_that_is_announced_too_large_is_refused(start: Start, script: Script) -> None:
    """No program starts for it; one that is not larger than the limit is carried out."""
    wrapper = start("--body-limit", "10", script(f"{HEAD}; cat"))
    refused = wrapper.ask(TRACED | {"CONTENT_LENGTH": "11"}, b"x" * 11)

    assert refused.status == "413 Content Too Large"
    assert refused.stderr.startswith(b"fcgi2cgi: refused: the body of the request is larger")
    assert refused.stderr.endswith(f": CONTENT_LENGTH; trace {TRACE}\n".encode())
    assert wrapper.ask({"CONTENT_LENGTH": "10"}, b"x" * 10).body == b"x" * 10


def test_body_that_becomes_too_large_ends_the_request(start: Start, script: Script) -> None:
    """Where no length was said, as of a chunked one."""
    wrapper = start("--body-limit", "1000", script("cat > /dev/null; sleep 60"))
    wrapper.peer.send([begin(), *stream(Type.PARAMS, 1, encode_pairs(TRACED))])
    wrapper.peer.send([Record(Type.STDIN, 1, bytes(600)), Record(Type.STDIN, 1, bytes(600))])
    answer = wrapper.peer.read_answer()

    assert answer.status == "413 Content Too Large"
    assert answer.stderr.endswith(f"larger than the limit; trace {TRACE}\n".encode())
    wrapper.wait_no_programs()


@pytest.mark.parametrize("more", [0, 1])
def test_head_that_is_too_large_is_refused(start: Start, script: Script, more: int) -> None:
    """Names and values, with one more byte for each, as they are counted by SCGI."""
    wrapper = start("--head-limit", "1024", script(f"{HEAD}; cat"))
    answer = wrapper.ask({"A": "x" * (1024 - len("A") - 2 + more)})

    assert answer.status == ("431 Request Header Fields Too Large" if more else "200 OK")


def test_program_that_says_nothing_is_given_up(start: Start, script: Script) -> None:
    """The limit is for the first byte: who has begun may take longer."""
    program = script(f'[ "$QUERY_STRING" ] && {HEAD} && sleep 0.5 && exec echo done; sleep 60')
    wrapper = start("--answer-timeout", "0.3", program)
    silent = wrapper.ask(TRACED)
    begun = wrapper.ask(TRACED | {"QUERY_STRING": "1"})

    assert silent.status == "504 Gateway Timeout"
    assert silent.stderr.endswith(
        f"begun to answer within the time limit; trace {TRACE}\n".encode()
    )
    assert begun.body == b"done\n"


@pytest.mark.parametrize(
    "parent",
    ["", "00", f"00-{TRACE}", f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-{TRACE.upper()}-0-0", "é"],
)
def test_trace_that_is_none_is_not_told(start: Start, script: Script, parent: str) -> None:
    """A client cannot put into the log what it likes."""
    wrapper = start("--body-limit", "1", script(HEAD))
    refused = wrapper.ask({"CONTENT_LENGTH": "2", "HTTP_TRACEPARENT": parent}, b"xx")

    assert refused.stderr.endswith(b": CONTENT_LENGTH\n")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--head-limit", "1"),
        ("--body-limit", "0"),
        ("--body-limit", "1M"),
        ("--answer-timeout", "0"),
    ],
)
def test_wrong_limit_is_refused(start: Start, option: str, value: str) -> None:
    """The wrapper ends with 100."""
    wrapper = start(option, value, "true")
    assert wrapper.wait() == 100
    assert wrapper.process.stderr is not None
    assert option.encode() in wrapper.process.stderr.read()


def test_program_finds_the_trace_of_its_own_request(start: Start, script: Script) -> None:
    """TRACEPARENT is there for the request that has one, and not for the next of the connection."""
    wrapper = start(script(f"{HEAD}; env"))
    first = wrapper.ask(TRACED)
    second = wrapper.ask({"REQUEST_METHOD": "POST"})

    assert f"\nTRACEPARENT={TRACED['HTTP_TRACEPARENT']}\n".encode() in b"\n" + first.body
    assert b"TRACEPARENT" not in second.body
