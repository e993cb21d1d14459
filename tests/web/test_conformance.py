"""What RFC 3875 leaves to servers and nothing else here asks: redirections, arguments, NPH.

docs/conformance.md has a line for each section of the standard, and for each line its test.
"""

from pathlib import Path

import pytest

from harness.webservers import ask
from web.conftest import ONE_OF_EACH, Web

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("web", ONE_OF_EACH, indirect=True, ids=str),
]

_TEXT = r"Content-Type: text/plain\r\n\r\n"
_SCRIPTS = {
    "arguments": f"printf '{_TEXT}%s' $#",
    "local": r"printf 'Location: /cgi-bin/status\r\n\r\n'",
    "elsewhere": r"printf 'Location: http://localhost/x\r\n\r\n'",
    "document": r"printf 'Status: 302 Found\r\nLocation: http://localhost/x\r\n' && "
    f"printf '{_TEXT}over there'",
    "nph-answer": rf"printf 'HTTP/1.1 418 Teapot\r\n{_TEXT}tea'",
    "method": f"printf '{_TEXT}%s' \"$REQUEST_METHOD\"",
    "extension": rf"printf 'X-CGI-Thing: 1\r\nX-Thing: blue\r\n{_TEXT}'",
}

_STATUS_LINE = {
    ("nginx", "scgi"): 418,
    ("nginx", "fastcgi"): 200,
    ("apache", "scgi"): 500,
    ("apache", "fastcgi"): 500,
    ("lighttpd", "scgi"): 418,
    ("lighttpd", "fastcgi"): 418,
    ("caddy", "fastcgi"): 502,
    ("haproxy", "fastcgi"): 502,
}


@pytest.fixture(scope="session", autouse=True)
def scripts(programs: Path) -> None:
    """Add programs to those of all tests here."""
    for name, script in _SCRIPTS.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)


@pytest.mark.parametrize("query", ["", "?word", "?one+two", "?-s", "?a=b"])
def test_query_becomes_no_argument(web: Web, query: str) -> None:
    """Section 4.4 lets a server make arguments of a query without "="; it never is here."""
    assert ask(web.place, f"/cgi-bin/arguments{query}").body == b"0"


def test_client_is_redirected(web: Web) -> None:
    """Section 6.2.3: an absolute Location without a Status is 302; by SCGI not with Apache."""
    answer = ask(web.place, "/cgi-bin/elsewhere")

    assert answer.header("Location") == "http://localhost/x"
    assert answer.status == (200 if web.is_apache_scgi else 302)


def test_client_is_redirected_with_a_document(web: Web) -> None:
    """Section 6.2.4: status, place and document are those of the program."""
    answer = ask(web.place, "/cgi-bin/document")

    assert (answer.status, answer.header("Location")) == (302, "http://localhost/x")
    assert answer.body == b"over there"


def test_local_redirection_is_followed_or_sent_to_the_client(web: Web) -> None:
    """Section 6.2.2: Apache by SCGI answers with the other path; the others tell the client."""
    answer = ask(web.place, "/cgi-bin/local")

    if web.is_apache_scgi:
        assert (answer.status, answer.body) == (418, b"short and stout")
    else:
        assert (answer.status, answer.header("Location")) == (302, "/cgi-bin/status")


def test_program_that_parses_no_headers_is_a_program_like_others(web: Web) -> None:
    """Section 5: the status line of an NPH program is what each web server takes it for."""
    answer = ask(web.place, "/cgi-bin/nph-answer")

    assert answer.status == _STATUS_LINE[web.kind, web.way.protocol]
    assert answer.status >= 500 or answer.body == b"tea"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"])
def test_method_is_the_client_s(web: Web, method: str) -> None:
    """Section 4.3.4: methods of the protocol reach the program as they are."""
    answer = ask(web.place, "/cgi-bin/method", method=method, body=b"")

    assert (answer.status, answer.body) == (200, method.encode())


def test_other_headers_are_passed_on(web: Web) -> None:
    """Sections 6.3.4 and 6.3.5: what is no header of CGI goes to the client."""
    answer = ask(web.place, "/cgi-bin/extension")

    assert (answer.header("X-Thing"), answer.header("X-CGI-Thing")) == ("blue", "1")
