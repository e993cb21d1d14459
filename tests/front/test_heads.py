"""The head of a request: read to the byte, or refused, by the wrapper of the launch line."""

import array
import contextlib
import fcntl
import socket
import subprocess
import termios
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from harness import scgi
from harness.clients import dribbling, read_all
from harness.variables import STOPPED
from harness.waiting import wait_for

from .conftest import Script

CAP_SECONDS = 30.0
ECHO = """#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n'; exec head -c "$CONTENT_LENGTH"
"""
HEAD = b"Content-Type: text/plain\r\n\r\n"


@dataclass
class Call:
    """A wrapper that serves one connection."""

    connection: socket.socket
    process: "subprocess.Popen[bytes]"

    def finish(self) -> tuple[bytes, int]:
        """Return what is left of the answer, and the status of the end."""
        answer = read_all(self.connection)
        self.connection.close()
        return answer, self.process.wait(CAP_SECONDS)


@contextlib.contextmanager
def call(*command: str) -> Iterator[Call]:
    """Run a wrapper on one end of a connection."""
    ours, theirs = socket.socketpair()
    ours.settimeout(CAP_SECONDS)
    fd = theirs.fileno()
    process = subprocess.Popen(command, stdin=fd, stdout=fd, stderr=subprocess.PIPE)
    theirs.close()
    with ours, process:
        try:
            yield Call(ours, process)
        finally:
            process.kill()


def answer(whole: bytes, *command: str) -> tuple[bytes, int]:
    """Return a wrapper's answer to bytes that come all at once, and its status."""
    with call(*command) as one:
        one.connection.sendall(whole)
        return one.finish()


@pytest.mark.shipped
def test_program_gets_exactly_its_request(scgi2cgi: str, script: Script) -> None:
    """The environment is the request's and a safe PATH, the folder its own, the body whole."""
    program = script()
    whole = scgi.request(b"the body", REQUEST_METHOD="POST", REQUEST_URI="/a b", HTTP_X_EMPTY="")

    text, status = answer(whole, scgi2cgi, program)

    assert status == 0
    assert text.decode().replace("\r\n", "\n").splitlines() == [
        "Content-Type: text/plain",
        "",
        "CONTENT_LENGTH=8",
        "GATEWAY_INTERFACE=CGI/1.1",
        "HTTP_X_EMPTY=",
        "PATH=/usr/local/bin:/usr/bin:/bin",
        "REQUEST_METHOD=POST",
        "REQUEST_URI=/a b",
        "SCGI=1",
        f"in {program.rpartition('/')[0]}",
        "body the body",
    ]


@pytest.mark.shipped
@pytest.mark.slow
def test_request_may_be_cut_anywhere(scgi2cgi: str, script: Script) -> None:
    """Wherever a packet ends, the head is the head and the body the body."""
    program = script(ECHO)
    whole = scgi.request(b"body", REQUEST_METHOD="POST")
    for cut in range(1, len(whole)):
        with call(scgi2cgi, program) as one:
            one.connection.sendall(whole[:cut])
            # It has read that much before the rest comes.
            wait_for(lambda: not is_unread(one.connection), "the first part has been read")
            one.connection.sendall(whole[cut:])

            assert one.finish() == (HEAD + b"body", 0), cut


def is_unread(connection: socket.socket) -> bool:
    """Tell whether the peer has yet to read what was sent; unix(7), SIOCOUTQ."""
    waiting = array.array("i", [0])
    fcntl.ioctl(connection, termios.TIOCOUTQ, waiting)
    return waiting[0] > 0


@pytest.mark.shipped
def test_not_a_byte_of_the_body_is_read(scgi2cgi: str, script: Script) -> None:
    """What is behind the head is still there for the program, also on a pipe."""
    program = script(ECHO)
    body = bytes(range(256)) * 64
    done = subprocess.run(
        [scgi2cgi, program],
        input=scgi.request(body) + b"beyond",
        capture_output=True,
        check=False,
        timeout=CAP_SECONDS,
    )

    assert done.stdout == HEAD + body


MALFORMED = {
    "no netstring": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "netstring"),
    "no length": (b":" + b"x" * 40, "netstring"),
    "leading zero": (b"070:" + scgi.request()[3:], "netstring"),
    "minus": (b"-1:" + b"x" * 40, "netstring"),
    "too short": (b"5:SCGI\0,", "too short"),
    "too large": (b"65536:CONTENT_LENGTH\0" + b"0" * 40, "larger than its limit"),
    "far too large": (b"9" * 40, "larger than its limit"),
    "no comma": (scgi.request()[:-1] + b";", "netstring"),
    "no NUL at the end": (b"24:CONTENT_LENGTH\0000\0SCGI\0001x,", "no list of names"),
    "odd": (scgi.head({"CONTENT_LENGTH": "0", "SCGI": "1"}).replace(b"1\0,", b"1\0x\0,")
            .replace(b"24:", b"26:"), "no list of names"),
    "length not first": (scgi.head({"SCGI": "1", "CONTENT_LENGTH": "0"}), "CONTENT_LENGTH"),
    "length empty": (scgi.head({"CONTENT_LENGTH": "", "SCGI": "1", "A": "b"}), "no number"),
    "length signed": (scgi.head({"CONTENT_LENGTH": "-1", "SCGI": "1"}), "no number"),
    "length hexadecimal": (scgi.head({"CONTENT_LENGTH": "0x1", "SCGI": "1"}), "no number"),
    "length beyond 64 bits": (scgi.head({"CONTENT_LENGTH": "9" * 19, "SCGI": "1"}), "no number"),
    "no mark": (scgi.head({"CONTENT_LENGTH": "0", "SCGX": "1"}), "SCGI=1"),
    "another mark": (scgi.head({"CONTENT_LENGTH": "0", "SCGI": "2"}), "SCGI=1"),
    "two lengths": (scgi.request(A="1")[:-1].replace(b"A\x001\0", b"CONTENT_LENGTH\x001\0")
                    .replace(b"28:", b"41:") + b",", "CONTENT_LENGTH"),
    "too many": (scgi.request(b"", **{f"A{n}": "" for n in range(800)}), "too many"),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_request_is_answered_and_not_carried_out(
    scgi2cgi: str, script: Script, name: str
) -> None:
    """A clear answer of the 400s says what is wrong, and the program is not started."""
    whole, complaint = MALFORMED[name]

    text, status = answer(whole, scgi2cgi, script("#!/bin/sh\necho started\n"))

    lines = text.decode().split("\r\n")
    is_large = "too many" in complaint or "larger" in complaint
    status_line = "431 Request Header Fields Too Large" if is_large else "400 Bad Request"
    assert lines[0] == f"Status: {status_line}"
    assert complaint in lines[-1]
    assert f"Content-Length: {len(lines[-1])}" in lines
    assert "started" not in text.decode()
    assert status == 65


def test_body_that_is_too_large_is_refused(scgi2cgi: str, script: Script) -> None:
    """By its length, before any of it has come."""
    for size, begin in ((4, b"Content-Type"), (5, b"Status: 413 Content Too Large")):
        text, _ = answer(scgi.request(b"x" * size), scgi2cgi, "--body-limit", "4", script())
        assert text.startswith(begin)


def test_length_that_the_client_has_not_said_is_refused(scgi2cgi: str, script: Script) -> None:
    """The web server has sent a part of the body's length, as nginx without buffering does."""
    text, status = answer(scgi.request(b"part", HTTP_CONTENT_LENGTH="400"), scgi2cgi, script())
    assert (text[:11], status) == (b"Status: 500", 65)
    assert b"scgi_request_buffering has to be on: CONTENT_LENGTH\n" in text

    text, _ = answer(scgi.request(b"body", HTTP_CONTENT_LENGTH="4"), scgi2cgi, script())
    assert text.endswith(b"body body\n")


def test_header_that_was_sent_twice_is_one_variable(scgi2cgi: str, script: Script) -> None:
    """Its values are joined as RFC 3875 has it, if there is room; other names are refused."""
    pairs = b"".join(
        b"%s\0%s\0" % pair
        for pair in (
            (b"HTTP_X", b"1"),
            (b"HTTP_COOKIE", b"a=1"),
            (b"HTTP_PROXY", b"http://evil"),
            (b"HTTP_X", b""),
            (b"HTTP_COOKIE", b"b=2"),
            (b"HTTP_PROXY", b"http://evil"),
            (b"HTTP_X", b"3"),
        )
    )
    content = b"CONTENT_LENGTH\0000\0SCGI\0001\0" + pairs
    found, status = answer(
        b"%d:%s," % (len(content), content), scgi2cgi, script("#!/bin/sh\nenv\n")
    )

    headers = sorted(line for line in found.decode().splitlines() if line.startswith("HTTP_"))
    assert (headers, status) == (["HTTP_COOKIE=a=1; b=2", "HTTP_X=1, , 3"], 0)
    long = b"HTTP_X\0" + b"x" * 30_000 + b"\0"
    content = b"CONTENT_LENGTH\0000\0SCGI\0001\0" + long + long
    refused, status = answer(b"%d:%s," % (len(content), content), scgi2cgi, script("#!/bin/sh\n"))
    assert (refused[:11], status) == (b"Status: 431", 65)


@pytest.mark.parametrize("name", [*STOPPED, "", "A=B", "A B", "1A", "A\nB"])
def test_what_loaders_and_shells_act_on_is_left_out(
    scgi2cgi: str, script: Script, name: str
) -> None:
    """A request cannot say what is run, nor by an odd name; it is carried out all the same."""
    with call(scgi2cgi, script()) as one:
        one.connection.sendall(scgi.request(b"", **{name: "evil", "KEPT": "1"}))
        text, status = one.finish()
        assert one.process.stderr is not None
        said = one.process.stderr.read().decode()

    assert (b"KEPT=1" in text, b"evil" in text, status) == (True, False, 0)
    shown = name.replace(" ", "?").replace("\n", "?")
    assert said == f"scgi2cgi: left out of the request: {shown}\n"


def test_last_of_a_name_counts(scgi2cgi: str, script: Script) -> None:
    """As an operator means it who sets a name behind those that the web server always sends."""
    whole = scgi.request(A="1st", B="A=x").replace(b"B\0A=x", b"A\x002nd")
    text, status = answer(whole, scgi2cgi, script())

    assert (b"A=2nd" in text, b"1st" in text, status) == (True, False, 0)


def test_header_that_libraries_take_for_a_setting_is_left_out(
    scgi2cgi: str, script: Script
) -> None:
    """HTTP_PROXY comes from a client's header Proxy; the request is carried out without it."""
    text, _ = answer(scgi.request(HTTP_PROXY="evil", HTTP_A="kept"), scgi2cgi, script())

    assert b"HTTP_A=kept" in text
    assert b"evil" not in text


def test_what_the_service_sets_is_its_own(scgi2cgi: str, script: Script) -> None:
    """A name of --env or PATH is the service's, whatever the request says of it."""
    whole = scgi.request(PATH="/evil", MODE="evil", OTHER="kept")
    text, _ = answer(whole, scgi2cgi, "--env", "MODE=quiet", script())

    assert b"MODE=quiet" in text
    assert b"OTHER=kept" in text
    assert b"evil" not in text


def test_value_of_the_service_may_come_from_the_environment(scgi2cgi: str, script: Script) -> None:
    """By its name or with a beginning of names, so that it stands in no arguments."""
    own = ("env", "SECRET=1", "OF_A=2", "OF_HTTP_B=3", "OF_=4", "PATH=/usr/bin:/bin")
    options = ("--env", "SECRET", "--env", "A=0", "--env-prefix", "OF_", "--env", "HTTP_B=5")
    with call(*own, scgi2cgi, *options, script()) as one:
        one.connection.sendall(scgi.request(SECRET="evil", A="evil"))
        text, _ = one.finish()

    assert b"\nSECRET=1\n" in text
    assert b"\nA=2\n" in text
    assert b"\nHTTP_B=5\n" in text
    assert b"OF_" not in text
    assert b"evil" not in text


def test_nothing_is_inherited_by_accident(scgi2cgi: str, script: Script) -> None:
    """The environment of the wrapper itself does not reach the program."""
    with call("env", "SECRET=1", scgi2cgi, script()) as one:
        one.connection.sendall(scgi.request())

        assert b"SECRET" not in one.finish()[0]


def test_head_has_its_time(scgi2cgi: str, script: Script) -> None:
    """A client that stops in the midst of a head is told so after the time limit."""
    with call(scgi2cgi, "--head-timeout", "1", script()) as one:
        one.connection.sendall(scgi.request()[:20])
        text, status = one.finish()

    assert text.startswith(b"Status: 408 Request Timeout\r\n")
    assert status == 65


@pytest.mark.parametrize(
    "text", ["", ".5", "1.", "1.0001", "1e3", "+1", "0.0", "86400.1", "9" * 40]
)
def test_time_for_a_head_is_a_number(scgi2cgi: str, text: str) -> None:
    """Seconds, with up to three digits behind a point."""
    done = subprocess.run(
        [scgi2cgi, "--head-timeout", text, "cat"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )

    assert done.returncode == 100


@pytest.mark.parametrize(("size", "status"), [(1024, 0), (1025, 65)])
def test_head_has_its_limit(scgi2cgi: str, script: Script, size: int, status: int) -> None:
    """It counts as the netstring does, and what is over is refused before it has come."""
    whole = scgi.request(A="")
    whole = scgi.request(A="x" * (size - int(whole.partition(b":")[0])))
    text, ended = answer(whole, scgi2cgi, "--head-limit", "1024", script())

    assert ended == status
    assert text.startswith(b"Status: 431 ") == (status != 0)


def test_program_that_says_nothing_is_given_up(scgi2cgi: str, script: Script) -> None:
    """By its parent, which says so to the client and on standard error."""
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    with call(scgi2cgi, "--answer-timeout", "0.3", script("#!/bin/sh\nexec sleep 99\n")) as one:
        one.connection.sendall(scgi.request(HTTP_TRACEPARENT=f"00-{trace}-00f067aa0ba902b7-01"))
        text = read_all(one.connection)
        one.connection.close()
        one.process.wait(CAP_SECONDS)
        assert one.process.stderr is not None
        said = one.process.stderr.read()

    assert text.startswith(b"Status: 504 Gateway Timeout\r\n")
    assert b"has not begun to answer within the time limit" in said
    assert said.endswith(f"; trace {trace}\n".encode())


def test_dribbled_head_has_the_same_time(scgi2cgi: str, script: Script) -> None:
    """A byte now and then does not put the limit off."""
    whole = scgi.request(A="x" * 20_000)
    with call(scgi2cgi, "--head-timeout", "0.3", script()) as one, dribbling(one.connection, whole):
        text = read_all(one.connection)
        status = one.process.wait(CAP_SECONDS)

    assert text.startswith(b"Status: 408 Request Timeout\r\n")
    assert status == 65


def test_refused_client_that_goes_on_sending_keeps_nothing(scgi2cgi: str, script: Script) -> None:
    """It is told, and soon afterwards the connection is closed, whatever it still sends."""
    with call(scgi2cgi, script()) as one:
        one.connection.sendall(MALFORMED["no netstring"][0])
        with dribbling(one.connection, bytes(100_000)):
            text = read_all(one.connection)

            assert one.process.wait(10.0) == 65

    assert text.startswith(b"Status: 400 Bad Request\r\n")


def test_client_that_says_nothing_is_not_answered(scgi2cgi: str, script: Script) -> None:
    """A connection that only tries whether anybody is there leaves no trace of a failure."""
    with call(scgi2cgi, script()) as one:
        one.connection.shutdown(socket.SHUT_WR)

        assert one.finish() == (b"", 0)


def test_client_that_ends_within_its_head_is_told(scgi2cgi: str, script: Script) -> None:
    """Half a head is no request."""
    with call(scgi2cgi, script()) as one:
        one.connection.sendall(scgi.request()[:-3])
        one.connection.shutdown(socket.SHUT_WR)

        assert one.finish()[0].startswith(b"Status: 400 Bad Request\r\n")


def test_answer_reaches_a_client_that_still_sends(scgi2cgi: str, script: Script) -> None:
    """A program that does not read its body is answered whole: the connection is not reset."""
    program = script("#!/bin/sh\nprintf 'Status: 413 Content Too Large\\r\\n\\r\\n'; exit 3\n")
    with call(scgi2cgi, program) as one:
        one.connection.sendall(scgi.request(bytes(100_000)))

        assert one.finish() == (b"Status: 413 Content Too Large\r\n\r\n", 3)


def test_program_s_end_by_a_signal_is_the_wrapper_s(scgi2cgi: str, script: Script) -> None:
    """Who looks at the status sees what became of the program, also with a body."""
    with call(scgi2cgi, script("#!/bin/sh\nkill -TERM $$\n")) as one:
        one.connection.sendall(scgi.request(b"body"))

        assert one.finish() == (b"", -15)


@pytest.mark.parametrize(
    ("mode", "text", "answered"),
    [
        (0o644, "#!/bin/sh\n", b"Status: 403 Forbidden"),
        (0o755, "#!/nowhere/sh\n", b"Status: 404 Not Found"),
    ],
)
def test_program_that_cannot_be_run_is_an_answer(
    scgi2cgi: str, script: Script, mode: int, text: str, answered: bytes
) -> None:
    """The client is told; the reason is on the operator's standard error."""
    path = script(text, mode=mode)
    with call(scgi2cgi, path) as one:
        one.connection.sendall(scgi.request())
        found, status = one.finish()
        assert one.process.stderr is not None
        said = one.process.stderr.read().decode()

    assert found.startswith(answered)
    assert status == 65
    assert said.startswith(f"scgi2cgi: cannot run '{path}': ")


def test_program_that_is_being_written_is_an_error_of_the_server(
    scgi2cgi: str, script: Script
) -> None:
    """What cannot be run for another reason than its file's rights is a 500."""
    path = script()
    with open(path, "r+b"):
        found, _ = answer(scgi.request(), scgi2cgi, path)

    assert found.startswith(b"Status: 500 Internal Server Error\r\n")


def test_script_without_an_interpreter_line_is_run_by_the_shell(
    scgi2cgi: str, script: Script
) -> None:
    """As from a shell, with its arguments."""
    path = script('printf "\\r\\n%s" "$1"\n')

    assert answer(scgi.request(), scgi2cgi, path, "one word")[0] == b"\r\none word"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "give either a program, --root or --scripts"),
        (("--root", "/tmp", "cat"), "give either a program, --root or --scripts"),
        (("--root", "tmp"), "--root: not an absolute path"),
        (("--request-variables", "", "cat"), "--request-variables: not a list of names"),
        (("--request-variables", "A,,B", "cat"), "--request-variables: not a list of names"),
        (("--request-variables", "*", "cat"), "--request-variables: not a list of names"),
        (("--request-variables", "A*B", "cat"), "--request-variables: not a list of names"),
        (("--env", "=x", "cat"), "--env: not NAME=VALUE or NAME"),
        (("--env", "x_of_nobody", "cat"), "--env: no value, and none in the environment"),
        (("--head-timeout", "0", "cat"), "--head-timeout: not a number of seconds up to"),
        (("--head-limit", "1023", "cat"), "--head-limit: not a number of bytes from 1024 to 65535"),
        (
            ("--head-limit", "65536", "cat"),
            "--head-limit: not a number of bytes from 1024 to 65535",
        ),
        (("--answer-timeout", "x", "cat"), "--answer-timeout: not a number of seconds up to"),
        (("--head-timeout",), "--head-timeout: no such option, or its value is missing"),
        (("--nope", "x"), "--nope: no such option"),
    ],
)
def test_wrong_call_is_explained(scgi2cgi: str, arguments: tuple[str, ...], complaint: str) -> None:
    """One line says what is wrong, the usage follows, the status is 100."""
    done = subprocess.run(
        [scgi2cgi, *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )

    assert done.returncode == 100
    assert done.stderr.decode().startswith(f"scgi2cgi: {complaint}")
    assert b"usage: scgi2cgi" in done.stderr
