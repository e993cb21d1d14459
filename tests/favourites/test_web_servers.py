"""Copies of programs that a web server names answer as the programs do, behind a real one."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.clients import Place
from harness.waiting import wait_for
from harness.webservers import HOST, WebServer, ask, find_command

from .conftest import Compile, Site, Start

pytestmark = pytest.mark.slow

AT_ONCE = 8
ROUNDS = 10


def configuration(kind: str, protocol: str, backend: Place, folder: Path, place: Place) -> str:
    """Return what names the program by its file, as it does in front of fcgiwrap."""
    word = "fastcgi" if protocol == "fcgi" else "scgi"
    back = f"{HOST}:{backend[1]}"
    if kind == "nginx":
        kept = "fastcgi_keep_conn on;" if protocol == "fcgi" else ""
        where = f"unix:{place}" if isinstance(place, str) else f"{HOST}:{place[1]}"
        return f"""
upstream programs {{ server {back}; keepalive 4; }}
server {{
    listen {where};
    location /cgi-bin/ {{
        {word}_pass programs; {kept}
        {word}_param SCRIPT_FILENAME {folder}/show;
        {word}_param REQUEST_METHOD $request_method;
        {word}_param QUERY_STRING $query_string;
        {word}_param CONTENT_LENGTH $content_length;
        {word}_param SCGI 1;
    }}
}}
"""
    # Apache makes SCRIPT_FILENAME of what it passes the request on to.
    scheme = f"{protocol}://{back}"
    return f'ProxyPassMatch "^/cgi-bin/" "{scheme}{folder}/show" enablereuse=on\n'


@contextlib.contextmanager
def in_front(kind: str, site: Site, folder: Path) -> Iterator[WebServer]:
    """Run a web server in front of a site."""
    if find_command(kind) is None:
        pytest.skip(f"{kind} is not installed")
    backend = site.server.place
    server = WebServer(
        kind,
        site.protocol,
        backend,
        snippet=lambda place: configuration(kind, site.protocol, backend, folder, place),
    )
    with contextlib.closing(server):
        yield server


@pytest.mark.parametrize("kind", ["nginx", "apache"])
def test_web_server_gets_the_same_from_copies(
    start: Start, protocol: str, put: Compile, kind: str
) -> None:
    """Executed at first, then from a template: with bodies, and several at once."""
    site, program = start(protocol, is_quiet=False), Path(put())
    body = bytes(range(256)) * 1024

    def told(number: int) -> tuple[int, bytes]:
        """Return the session in which the program has run, and what it has read."""
        answer = ask(server.place, f"/cgi-bin/x?{number}", method="POST", body=body)
        assert (answer.status, answer.header("X-Version")) == (200, "one")
        lines = answer.body.splitlines()
        assert b"QUERY_STRING=%d" % number in lines
        return int(lines[0].split()[1]), lines[1].partition(b", body ")[2]

    def templates() -> set[int]:
        return {line["pid"] for line in site.server.events("favourite_started")}

    with in_front(kind, site, program.parent) as server, ThreadPoolExecutor(AT_ONCE) as clients:
        session, read = told(0)
        wait_for(lambda: told(0)[0] in templates(), "a copy answers")
        several = list(clients.map(told, range(AT_ONCE * ROUNDS)))

    assert session not in templates()
    assert {one for _, one in several} == {read}
    assert templates() & {one for one, _ in several}
