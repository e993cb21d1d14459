"""What a CGI program gets from a real web server, and what the server makes of its answer."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from harness.clients import connect, read_all
from harness.extent import by_extent
from harness.waiting import wait_for
from harness.webservers import ask, requesting
from web.conftest import COMBINATIONS, LARGE_BYTES, ONE_OF_EACH, Combination, Web, serving

pytestmark = pytest.mark.slow

one_of_each = pytest.mark.parametrize("web", ONE_OF_EACH, indirect=True, ids=str)
KEPT = [one for one in COMBINATIONS if (one.kind, one.protocol) == ("nginx", "fastcgi")]
AT_ONCE = 8
REQUESTS = by_extent(80, 240)
MIB = 1 << 20
BODY_MIB = by_extent(10, 100)


def test_program_sees_the_request_that_was_made(web: Web) -> None:
    """What RFC 3875 names is there, split where the program's name ends, and nothing of ours."""
    answer = ask(web.place, "/cgi-bin/emit-env/over/there?a=b+c", headers={"X-Thing": "blue"})

    assert (answer.status, answer.header("Content-Type")) == (200, "text/plain; charset=utf-8")
    found = answer.variables
    expected = {
        "REQUEST_METHOD": "GET",
        "REQUEST_URI": "/cgi-bin/emit-env/over/there?a=b+c",
        "SCRIPT_NAME": "/cgi-bin/emit-env",
        "SCRIPT_FILENAME": str(web.programs / "emit-env"),
        "PATH_INFO": "/over/there",
        "QUERY_STRING": "a=b+c",
        "SERVER_NAME": "localhost",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "GATEWAY_INTERFACE": "CGI/1.1",
        "HTTP_X_THING": "blue",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
    }
    assert {name: found.get(name) for name in expected} == expected
    assert found["SERVER_SOFTWARE"].lower().startswith(web.kind)
    needed = {"REMOTE_ADDR", "REMOTE_PORT", "SERVER_ADDR", "SERVER_PORT", "DOCUMENT_ROOT"}
    if web.kind == "haproxy":  # here its clients come by a UNIX socket, which has no address
        needed -= {"SERVER_ADDR"}
    assert needed <= set(found)
    assert found.get("CONTENT_LENGTH", "0") in ("", "0")
    assert [name for name in found if name.startswith(("SOCKETD", "TCP"))] == []


@pytest.mark.parametrize("way", ONE_OF_EACH, ids=str)
def test_one_program_is_at_the_place_of_the_folder(way: Combination, programs: Path) -> None:
    """Without a folder the program is /cgi-bin itself, and gets the whole path behind that."""
    with serving(replace(way, backend="program"), programs) as web:
        for path in ("/", "/over/there"):
            found = ask(web.place, f"/cgi-bin{path}?q").variables

            assert (found["SCRIPT_NAME"], found["PATH_INFO"]) == ("/cgi-bin", path)


def test_path_is_decoded_once(web: Web) -> None:
    """PATH_INFO is the path that was meant, REQUEST_URI the one that was sent."""
    found = ask(web.place, "/cgi-bin/emit-env/a%20b/%C3%A9?x=%20").variables

    assert (found["QUERY_STRING"], found["REQUEST_URI"]) == (
        "x=%20",
        "/cgi-bin/emit-env/a%20b/%C3%A9?x=%20",
    )
    if web.is_apache_scgi:  # it sends the path as it came
        assert found["PATH_INFO"] == "/a%20b/%C3%A9"
    else:
        assert (found["PATH_INFO"], found["SCRIPT_NAME"]) == ("/a b/é", "/cgi-bin/emit-env")


def test_header_that_is_sent_twice_arrives_joined(web: Web) -> None:
    """RFC 3875, section 4.1.18: one variable; nginx before 1.23 leaves it to us."""
    with connect(web.place) as connection:
        connection.sendall(
            b"GET /cgi-bin/emit-env HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            b"X-Colour: red\r\nX-Other: 1\r\nX-Colour: blue\r\n\r\n"
        )
        answer = read_all(connection).decode()

    assert [line for line in answer.splitlines() if line.startswith("HTTP_X_COLOUR")] == [
        "HTTP_X_COLOUR=red, blue"
    ]


def test_status_and_headers_of_the_program_arrive(web: Web) -> None:
    """Its status is the answer's, and a header that it sends twice is there twice."""
    answer = ask(web.place, "/cgi-bin/status")

    assert (answer.status, answer.body) == (418, b"short and stout")
    assert answer.all_headers("Set-Cookie") == ["a=1", "b=2"]


def test_redirection_of_the_program_arrives(web: Web) -> None:
    """A client is sent to where the program says."""
    answer = ask(web.place, "/cgi-bin/away")

    # HAProxy 2.6 takes a Location behind a Status for another 302.
    status = 302 if web.kind == "haproxy" else 303
    assert (answer.status, answer.header("Location")) == (status, "http://localhost/x")


def test_head_has_the_headers_and_no_body(web: Web) -> None:
    """A program is told that the method is HEAD; what it writes behind its headers is not sent."""
    answer = ask(web.place, "/cgi-bin/emit-env", method="HEAD")

    assert (answer.status, answer.body) == (200, b"")
    assert answer.header("Content-Type") == "text/plain; charset=utf-8"


def test_body_arrives_whole(web: Web) -> None:
    """What a client posts is what the program reads, with its length and its type."""
    body = bytes(range(256)) * 40

    answer = ask(web.place, "/cgi-bin/sum", method="POST", body=body)

    assert (answer.status, answer.body.split()[0].decode()) == (200, sha256(body).hexdigest())


def test_chunked_body_gets_a_length(web: Web) -> None:
    """A body without a length is collected by the server; some ask for one instead."""
    if web.kind in ("caddy", "haproxy"):
        with connect(web.place) as connection:
            connection.sendall(
                b"POST /cgi-bin/sum HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n"
            )
            assert connection.makefile("rb").readline().split()[1] == b"411"
        return
    parts = [b"one " * 5000, b"two " * 100, b"three"]

    answer = ask(web.place, "/cgi-bin/sum", method="POST", body=iter(parts))

    if web.is_apache_scgi:
        assert answer.status == 411
    else:
        assert answer.body.split()[0].decode() == sha256(b"".join(parts)).hexdigest()


def test_requests_at_once_never_see_each_other(web: Web) -> None:
    """Hundreds of requests, eight at any moment: each program has its own request's variables."""

    def one(number: int) -> dict[str, str]:
        answer = ask(
            web.place,
            f"/cgi-bin/emit-env/{number}?number={number}",
            headers={"X-Number": str(number), f"X-Only-{number}": "here"},
        )
        assert answer.status == 200
        return answer.variables

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(one, range(REQUESTS)))

    for number, found in enumerate(answers):
        seen = (found["PATH_INFO"], found["QUERY_STRING"], found["HTTP_X_NUMBER"])
        assert seen == (f"/{number}", f"number={number}", str(number))
        only = [name for name in found if name.startswith("HTTP_X_ONLY_")]
        assert only == [f"HTTP_X_ONLY_{number}"]


@pytest.mark.parametrize("web", KEPT, indirect=True, ids=str)
def test_nginx_keeps_its_fastcgi_connections(web: Web) -> None:
    """Requests one after another come over one connection, and so to one worker."""
    parents = {ask(web.place, "/cgi-bin/parent").body for _ in range(20)}

    assert len(parents) == 1, parents


@one_of_each
def test_large_body_is_taken(web: Web) -> None:
    """A body of many buffers arrives whole; at full size, the largest that our files allow."""
    part = bytes(range(256)) * 4096

    def parts(count: int) -> Iterator[bytes]:
        yield from (part for _ in range(count))

    answer = ask(
        web.place,
        "/cgi-bin/sum",
        method="POST",
        body=parts(BODY_MIB),
        headers={"Content-Length": str(BODY_MIB * MIB)},
    )

    expected = sha256()
    for _ in range(BODY_MIB):
        expected.update(part)
    assert (answer.status, answer.body.split()[0].decode()) == (200, expected.hexdigest())


@one_of_each
def test_body_above_the_limit_is_refused(web: Web) -> None:
    """More than 100 MiB get 413, and no program is bothered with them."""
    answer = ask(
        web.place,
        "/cgi-bin/sum",
        method="POST",
        body=iter([b"first"]),
        headers={"Content-Length": str(100 * MIB + 1024), "Expect": "100-continue"},
    )

    assert answer.status == 413


@one_of_each
def test_large_answer_is_delivered(web: Web) -> None:
    """A large answer arrives whole."""
    line = b"0123456789abcde\n"

    answer = ask(web.place, "/cgi-bin/large")

    assert (answer.status, len(answer.body)) == (200, LARGE_BYTES)
    assert answer.body == line * (LARGE_BYTES // len(line))


@one_of_each
def test_program_ends_when_its_client_goes_away(web: Web) -> None:
    """A client that has seen enough of an endless answer leaves nobody behind who writes it."""
    with requesting(web.place, "/cgi-bin/endless") as response:
        assert response.read(MIB) == b"y\n" * (MIB // 2)
        assert web.running() != []

    wait_for(lambda: not web.running(), "the program has ended")
