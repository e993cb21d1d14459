"""Requests: their variables, the limits on them, and what a program finds of them."""

from pathlib import Path

import pytest

from harness.fastcgi import Record, Type, begin, encode, encode_pairs, request, stream
from harness.variables import STOPPED
from harness.waiting import wait_for

from .conftest import Script, Start
from .wrappers import HEAD

ENVIRONMENT = f"{HEAD}; exec env -0"
TEXT_SIZE = 65535
ENTRIES = 768


def _environment(body: bytes) -> dict[str, str]:
    entries = [entry.decode().partition("=") for entry in body.split(b"\0") if entry]
    return {name: value for name, _, value in entries if name not in {"PWD", "SOCKETD_TEST_MARK"}}


@pytest.mark.shipped
def test_the_environment_is_the_request_and_nothing_else(start: Start, script: Script) -> None:
    """Nothing is inherited; a safe PATH and the CGI version are added."""
    wrapper = start(script(ENVIRONMENT), environment={"REMOTE_ADDR": "192.0.2.1"})
    params = {"QUERY_STRING": "", "HTTP_X": "a=b c\n", "SCRIPT_NAME": "/\u00e9"}

    assert _environment(wrapper.ask(params).body) == params | {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "GATEWAY_INTERFACE": "CGI/1.1",
    }


def test_the_service_sets_variables_of_its_own(start: Start, script: Script) -> None:
    """What the service says of a name holds, PATH included, whatever the request says."""
    wrapper = start("--env", "PATH=/mine:/bin:/usr/bin", "--env", "A=", script(ENVIRONMENT))
    wanted = {"PATH": "/mine:/bin:/usr/bin", "A": "", "GATEWAY_INTERFACE": "CGI/1.2"}
    asked = {"PATH": "/evil", "A": "evil", "GATEWAY_INTERFACE": "CGI/1.2"}

    assert _environment(wrapper.ask(asked).body) == wanted


def test_value_of_the_service_may_come_from_the_environment(start: Start, script: Script) -> None:
    """By its name or with a beginning of names, so that it stands in no arguments."""
    wrapper = start(
        "--env", "SECRET", "--env-prefix", "OF_", script(ENVIRONMENT),
        environment={"SECRET": "1", "OF_A": "2", "OF_PATH": "/usr/bin:/bin", "OF_": "3"},
    )  # fmt: skip
    wanted = {"PATH": "/usr/bin:/bin", "SECRET": "1", "A": "2", "GATEWAY_INTERFACE": "CGI/1.1"}

    assert _environment(wrapper.ask({"SECRET": "evil", "A": "evil"}).body) == wanted


def test_two_requests_do_not_see_each_other(start: Start, script: Script) -> None:
    """On one connection, a request has the variables it came with and none of the one before."""
    wrapper = start(script(ENVIRONMENT))
    first = _environment(wrapper.ask({"A": "1" * 5000, "B": "2"}).body)
    second = _environment(wrapper.ask({"B": "3", "C": "4"}).body)

    assert first.keys() - second.keys() == {"A"}
    assert (second["B"], second["C"]) == ("3", "4")


@pytest.mark.parametrize("length", [0, 1, 127, 128, 255, 256, 60_000])
@pytest.mark.parametrize("size", [1, 7, 65535])
def test_variables_of_any_length_in_records_of_any_length(
    start: Start, script: Script, length: int, size: int
) -> None:
    """A pair may be cut anywhere by the records of its stream."""
    params = {"N" * max(1, min(length, 300)): "v" * length, "LAST": "z"}
    wrapper = start(script(ENVIRONMENT))
    wrapper.peer.send(request(params, size=size))

    found = _environment(wrapper.peer.read_answer().body)
    assert {name: found[name] for name in params} == params


def test_a_request_without_variables_is_carried_out(start: Start, script: Script) -> None:
    """Whether it lacks something is for the program to judge."""
    assert start(script(f"{HEAD}; echo done")).ask({}).body == b"done\n"


REFUSED = {
    "too long, in one value": encode_pairs({"A": "x" * TEXT_SIZE}),
    "too long, all together": encode_pairs({f"A{n}": "x" * 1000 for n in range(66)}),
    "too long, by its length alone": b"\x01\xff\xff\xff\xffAx",
    "too long twice": b"\xff\xff\xff\xff\xff\xff\xff\xffx",
    "too many": encode_pairs({f"A{n}": "" for n in range(ENTRIES)}),
    "cut in the lengths": b"\x01\x80\0",
    "cut in the name": b"\x03\x01AB",
    "cut in the value": b"\x01\x03Axx",
    "with a NUL in the name": encode_pairs([(b"A\0B", b"x")]),
    "with a NUL in the value": encode_pairs([(b"A", b"x\0y")]),
    "with two lengths": encode_pairs([(b"CONTENT_LENGTH", b"1"), (b"CONTENT_LENGTH", b"2")]),
}


@pytest.mark.parametrize("params", REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.parametrize("size", [1000, 65535])
def test_variables_that_cannot_be_are_refused(
    start: Start, script: Script, params: bytes, size: int
) -> None:
    """The answer is 400 with one line in the log, no program starts, the connection goes on."""
    wrapper = start(script(ENVIRONMENT))
    wrapper.peer.send(
        [
            begin(keep=True),
            *stream(Type.PARAMS, 1, params, size),
            *stream(Type.STDIN, 1, bytes(200_000)),
        ]
    )
    answer = wrapper.peer.read_answer()

    is_large = b"larger than its limit" in answer.body or b"too many" in answer.body
    assert answer.status == (
        "431 Request Header Fields Too Large" if is_large else "400 Bad Request"
    )
    assert answer.stderr.startswith(b"fcgi2cgi: refused: the ")
    assert answer.stderr.count(b"\n") == 1
    assert answer.app_status == 1
    assert wrapper.ask({"A": "still there"}).body


@pytest.mark.parametrize(
    ("params", "name"),
    [
        (REFUSED["with a NUL in the value"], b"A"),
        (REFUSED["cut in the value"], b"A"),
        (REFUSED["with two lengths"], b"CONTENT_LENGTH"),
        (REFUSED["too many"], b"A766"),
    ],
)
def test_refusal_names_the_variable(
    start: Start, script: Script, params: bytes, name: bytes
) -> None:
    """In the answer and in the web server's log."""
    wrapper = start(script(HEAD))
    wrapper.peer.send([begin(), *stream(Type.PARAMS, 1, params), Record(Type.STDIN, 1)])
    answer = wrapper.peer.read_answer()

    assert answer.body.endswith(b": " + name + b"\n")
    assert answer.stderr.endswith(b": " + name + b"\n")


@pytest.mark.parametrize("name", STOPPED)
def test_what_loaders_and_shells_act_on_is_left_out(
    start: Start, script: Script, name: str
) -> None:
    """A request cannot say what is run; it is carried out, and the log has the name."""
    wrapper = start(script(ENVIRONMENT))
    answer = wrapper.ask({name: "evil", "KEPT": "1"})

    assert b"KEPT=1" in answer.body
    assert b"evil" not in answer.body
    assert answer.stderr == b"fcgi2cgi: left out of the request: %s\n" % name.encode()


def test_what_is_left_out_is_told_once(start: Start, script: Script) -> None:
    """Of many variables on many requests of a connection one line is written, and one name."""
    wrapper = start(script(ENVIRONMENT))
    first, second = (wrapper.ask({"LD_PRELOAD": "", "PYTHONPATH": ""}) for _ in range(2))

    assert first.stderr == b"fcgi2cgi: left out of the request: LD_PRELOAD and others\n"
    assert second.stderr == b""


def test_client_cannot_fill_the_log(start: Start, script: Script) -> None:
    """Odd headers are left out without a word: every stranger can send them."""
    answer = start(script(ENVIRONMENT)).ask({"HTTP_A!": "odd", "HTTP_A": "1"})

    assert (b"odd" in answer.body, b"HTTP_A=1" in answer.body) == (False, True)
    assert answer.stderr == b""


@pytest.mark.parametrize("name", [b"", b"A=B", b"A B", b"1A", b"A\nB", b"A" * 70 + b" "])
def test_name_that_is_none_is_left_out(start: Start, script: Script, name: bytes) -> None:
    """The request is carried out without it, and no line of a log is torn by it."""
    wrapper = start(script(ENVIRONMENT))
    wrapper.peer.send(
        [
            begin(),
            *stream(Type.PARAMS, 1, encode_pairs([(name, b"odd"), (b"A", b"1")])),
            Record(Type.STDIN, 1),
        ]
    )
    answer = wrapper.peer.read_answer()

    assert (b"odd" in answer.body, b"A=1" in answer.body) == (False, True)
    assert answer.stderr.startswith(b"fcgi2cgi: left out of the request: ")
    assert answer.stderr.count(b"\n") == 1
    assert len(answer.stderr) < 110


def test_last_of_a_name_counts(start: Start, script: Script) -> None:
    """As an operator means it who sets a name behind those that the web server always sends."""
    wrapper = start(script(ENVIRONMENT))
    twice = encode_pairs([(b"A", b"first"), (b"B", b""), (b"A", b"last")])
    wrapper.peer.send([begin(), *stream(Type.PARAMS, 1, twice), Record(Type.STDIN, 1)])
    body = wrapper.peer.read_answer().body

    assert (b"A=last" in body, b"first" in body) == (True, False)


def test_list_of_the_operator_says_what_may_come(start: Start, script: Script) -> None:
    """Nothing else reaches the program, dangerous or not; what is named itself does."""
    wrapper = start("--request-variables", "standard,SSL_*,GIT_DIR", script(ENVIRONMENT))
    sent = dict.fromkeys(("DOCUMENT_ROOT", "SSL_A", "BASH_ENV", "GIT_DIR", "HTTP_A"), "1")

    for _ in range(2):
        assert _environment(wrapper.ask(sent | {"HTTP_PROXY": "1"}).body).keys() == {
            "GATEWAY_INTERFACE", "GIT_DIR", "HTTP_A", "PATH", "SSL_A",
        }  # fmt: skip
    wrapper = start("--request-variables", "standard,GIT_*", script(ENVIRONMENT))
    assert b"GIT_" not in wrapper.ask({"GIT_DIR": "/"}).body


def test_variables_up_to_the_limits_are_taken(start: Start, script: Script) -> None:
    """The longest text and the most entries that there may be reach the program."""
    wrapper = start(script(ENVIRONMENT))
    longest = TEXT_SIZE - len("A=") - 1
    most = {f"A{n}": "" for n in range(ENTRIES - 4)}

    assert _environment(wrapper.ask({"A": "x" * longest}).body)["A"] == "x" * longest
    assert most.items() <= _environment(wrapper.ask(most).body).items()


def test_a_header_that_was_sent_twice_is_one_variable(start: Start, script: Script) -> None:
    """Its values are joined as RFC 3875 has it; HTTP_PROXY is left out however often."""
    wrapper = start("--env", "HTTP_OWN=own", script(ENVIRONMENT))
    pairs = [
        (b"HTTP_X", b"1"),
        (b"HTTP_COOKIE", b"a=1"),
        (b"HTTP_PROXY", b"http://evil"),
        (b"HTTP_OWN", b"evil"),
        (b"HTTP_X", b""),
        (b"HTTP_COOKIE", b"b=2"),
        (b"HTTP_PROXY", b"http://evil"),
        (b"HTTP_OWN", b"evil"),
        (b"HTTP_X", b"3"),
    ]
    wrapper.peer.send(
        [begin(), *stream(Type.PARAMS, 1, encode_pairs(pairs)), Record(Type.STDIN, 1)]
    )
    found = _environment(wrapper.peer.read_answer().body)

    assert {name: value for name, value in found.items() if name.startswith("HTTP_")} == {
        "HTTP_X": "1, , 3",
        "HTTP_COOKIE": "a=1; b=2",
        "HTTP_OWN": "own",
    }


@pytest.mark.parametrize("count", [130, 400])
def test_a_header_that_was_sent_very_often_is_refused(
    start: Start, script: Script, count: int
) -> None:
    """What is joined counts against the same limit."""
    pairs = encode_pairs([(b"HTTP_X", b"x" * 100)] * count)
    wrapper = start(script(ENVIRONMENT))
    wrapper.peer.send([begin(), *stream(Type.PARAMS, 1, pairs), Record(Type.STDIN, 1)])

    assert wrapper.peer.read_answer().status == "431 Request Header Fields Too Large"


def test_a_body_ends_with_its_stream(start: Start, script: Script) -> None:
    """Whatever CONTENT_LENGTH says, the program reads what is there and then the end."""
    wrapper = start(script(f"{HEAD}; cat"))

    assert wrapper.ask({"CONTENT_LENGTH": "3"}, b"longer").body == b"longer"
    assert wrapper.ask({"CONTENT_LENGTH": "300"}, b"shorter").body == b"shorter"
    assert wrapper.ask({"CONTENT_LENGTH": "300"}).body == b""


def test_a_program_starts_before_its_body_is_there(
    start: Start, script: Script, tmp_path: Path
) -> None:
    """The variables are enough to begin."""
    wrapper = start(script(f"{HEAD}; : > {tmp_path}/begun; cat"))
    records = request({"A": "b"}, b"late")
    wrapper.peer.send(records[:3])
    wait_for((tmp_path / "begun").exists, "the program has begun")
    wrapper.peer.send(records[3:])

    assert wrapper.peer.read_answer().stdout.endswith(b"late")


def test_requests_that_come_as_one_packet_are_carried_out(start: Start, script: Script) -> None:
    """What follows in the same packet the refusal of one request is the next request."""
    wrapper = start(script(f"{HEAD}; cat"))
    refused = [begin(keep=True), *stream(Type.PARAMS, 1, REFUSED["with two lengths"])]
    wrapper.peer.connection.sendall(encode(refused) + encode(request(None, b"body")))

    assert wrapper.peer.read_answer().status == "400 Bad Request"
    assert wrapper.peer.read_answer().body == b"body"
