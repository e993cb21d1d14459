"""Every FastCGI client that people use, in front of copies of a held program."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.clients import Place
from harness.servers import Server
from harness.waiting import wait_for
from harness.webservers import KINDS, WebServer, ask, find_command
from socketd.system.products import is_built

pytestmark = pytest.mark.slow

LARGE_BYTES = 1 << 20
BODY = os.urandom(300_000)
REQUESTS = 24
AT_ONCE = 4
PROGRAM = f"""#!/bin/sh
# Its body first: nginx stops sending once an answer has begun.
body=$(sha256sum)
what=${{QUERY_STRING#*=}}
case $QUERY_STRING in
    away=*)
        printf 'Content-Type: text/plain\\nLocation: %s\\n\\nover there' "$what"
        exit ;;
    status=*)
        printf 'Location: http://localhost/x\\r\\nStatus: %s\\r\\n\\r\\n' "$what"
        exit ;;
esac
printf 'Content-Type: text/plain\\r\\n\\r\\n'
case $QUERY_STRING in
    sum) echo "$body" ;;
    slow) sleep 0.2; echo late ;;
    large) yes 0123456789abcde | head -c {LARGE_BYTES} ;;
    *) echo "$REQUEST_METHOD $QUERY_STRING $HTTP_X_THING"; echo oops >&2 ;;
esac
"""


def _nginx(backend: Place, place: Place, *, is_kept: bool) -> str:
    where = f"unix:{place}" if isinstance(place, str) else f"{place[0]}:{place[1]}"
    keep = "keepalive 8;" if is_kept else ""
    return f"""
    upstream cgi {{ server unix:{backend}; {keep} }}
    server {{
        listen {where};
        location / {{
            fastcgi_pass cgi;
            fastcgi_keep_conn {"on" if is_kept else "off"};
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param CONTENT_LENGTH $content_length;
            fastcgi_param SCRIPT_NAME $uri;
        }}
    }}
"""


def _apache(backend: Place, _: Place, *, is_kept: bool) -> str:
    reuse = "enablereuse=on max=8" if is_kept else "disablereuse=on"
    return f'ProxyPass "/" "unix:{backend}|fcgi://cgi/" {reuse}\n'


def _lighttpd(backend: Place, _: Place, *, is_kept: bool) -> str:
    assert not is_kept, "it closes each connection"
    return f"""
server.modules += ( "mod_fastcgi" )
fastcgi.server = ( "/" => (( "socket" => "{backend}", "check-local" => "disable" )) )
"""


def _haproxy(backend: Place, place: Place, *, is_kept: bool) -> str:
    where = f"unix@{place}" if isinstance(place, str) else f"{place[0]}:{place[1]}"
    return f"""
frontend web
    bind {where}
    default_backend cgi
backend cgi
    use-fcgi-app cgi
    http-reuse always
    server one unix@{backend} proto fcgi
fcgi-app cgi
    log-stderr global
    docroot /srv
    {"" if is_kept else "no "}option keep-conn
"""


def _caddy(backend: Place, place: Place, *, is_kept: bool) -> str:
    assert not is_kept, "it closes each connection"
    assert isinstance(place, tuple)
    return f"""
http://{place[0]}:{place[1]}, http://localhost:{place[1]} {{
    reverse_proxy unix/{backend} {{
        transport fastcgi
    }}
}}
"""


SNIPPETS: dict[str, Callable[..., str]] = {
    "nginx": _nginx,
    "apache": _apache,
    "lighttpd": _lighttpd,
    "haproxy": _haproxy,
    "caddy": _caddy,
}
# lighttpd 1.4 and Caddy ask for each connection to be closed.
WAYS = [
    ("nginx", True),
    ("nginx", False),
    ("apache", True),
    ("apache", False),
    ("haproxy", True),
    ("haproxy", False),
    ("lighttpd", False),
    ("caddy", False),
]


@dataclass(frozen=True)
class Web:
    """A web server, ours behind it, and whether it keeps its connections."""

    server: WebServer
    backend: Server
    is_kept: bool

    def connections(self) -> int:
        """Return how many connections there have been."""
        return len(self.backend.events("connection_accepted"))


@pytest.fixture(
    params=WAYS, ids=lambda way: f"{way[0]}-{'kept' if way[1] else 'anew'}", scope="module"
)
def web(request: pytest.FixtureRequest) -> Iterator[Web]:
    """Return each client in turn."""
    kind, is_kept = request.param
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    if find_command(kind) is None:
        pytest.skip(f"{KINDS[kind].command} is not installed")
    with contextlib.ExitStack() as stack:
        # Not below pytest's folder, which is for one user: the web server's is another.
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="socketd-web-"))
        os.chmod(folder, 0o755)
        program = Path(folder) / "program"
        program.write_text(PROGRAM)
        program.chmod(0o755)
        place = f"{folder}/socket"
        arguments = ["--front", "fcgi", "--ready", "load!", "-W", "2", "-p", str(program)]
        backend = Server([*arguments, "-s", place], is_measured=False, is_quiet=False)
        stack.callback(backend.close)
        os.chmod(str(backend.place), 0o777)
        server = WebServer(
            kind,
            "fastcgi",
            place,
            snippet=lambda own: SNIPPETS[kind](place, own, is_kept=is_kept),
        )
        stack.callback(server.close)
        yield Web(server, backend, is_kept)


def test_request_gets_its_answer(web: Web) -> None:
    """With its variables, and none of another's."""
    for name in ("ann", "bob"):
        answer = ask(web.server.place, f"/x?{name}", headers={"X-Thing": name.upper()})

        assert (answer.status, answer.body) == (200, f"GET {name} {name.upper()}\n".encode())


def test_body_arrives_whole(web: Web) -> None:
    """More of it than any buffer holds."""
    answer = ask(web.server.place, "/x?sum", method="POST", body=BODY)

    assert answer.body.split()[0] == hashlib.sha256(BODY).hexdigest().encode()


def test_answer_arrives_whole(web: Web) -> None:
    """More of it than any buffer holds."""
    answer = ask(web.server.place, "/x?large")

    assert answer.body == (b"0123456789abcde\n" * LARGE_BYTES)[:LARGE_BYTES]


@pytest.mark.parametrize("target", ["http://localhost/x?y", "/else/where"])
def test_client_is_sent_elsewhere(web: Web, target: str) -> None:
    """A Location without a Status is 302, with a host or without, and its body arrives."""
    answer = ask(web.server.place, f"/x?away={target}")

    assert (answer.status, answer.header("Location")) == (302, target)
    assert answer.body == b"over there"


@pytest.mark.parametrize("status", [201, 200, 307])
def test_status_beside_a_location_is_the_program_s(web: Web, status: int) -> None:
    """A Location with a Status is what the program says."""
    answer = ask(web.server.place, f"/x?status={status}")

    assert (answer.status, answer.header("Location")) == (status, "http://localhost/x")


def test_head_is_answered_and_what_comes_next(web: Web) -> None:
    """HAProxy does not wait for the end of a HEAD before it sends the next request."""
    for _ in range(4):
        assert ask(web.server.place, "/x?slow", method="HEAD").status == 200
        assert ask(web.server.place, "/x?ann").body == b"GET ann \n"


def test_connections_are_kept_or_not_as_the_client_wants(web: Web) -> None:
    """Many requests by few connections at once; each gets its own answer."""
    before = web.connections()

    def get(number: int) -> bytes:
        return ask(web.server.place, f"/x?{number}").body

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(get, range(REQUESTS)))

    assert answers == [f"GET {number} \n".encode() for number in range(REQUESTS)]
    if web.is_kept:
        assert web.connections() - before < REQUESTS
    else:
        wait_for(lambda: web.connections() - before >= REQUESTS, "each has its own connection")


def test_stderr_is_in_the_log_of_the_web_server(web: Web) -> None:
    """And not in the answer; Caddy 2.6 drops it."""
    answer = ask(web.server.place, "/x?log")

    assert answer.body == b"GET log \n"
    if web.server.kind != "caddy":
        web.server.wait_logged("oops")
