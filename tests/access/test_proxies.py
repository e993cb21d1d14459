"""The PROXY protocol, in force: whom a program and the log see behind a proxy, at each level."""

import contextlib
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from access.services import ECHO, complaint_about, service

from harness import fastcgi, scgi
from harness.clients import Place, read_all
from harness.extent import by_extent
from harness.proxyheaders import LINE, RIGHT, UNKNOWN, WRONG, block, ends, hostile
from harness.supervisors import Supervisor
from harness.waiting import wait_for
from socketd.admission.proxy_header import Header, Verdict, parse
from socketd.system.products import is_built

Supervise = Callable[..., Supervisor]

SHOW = (
    "sh -c 'read line; echo $line ${TCPREMOTEIP-none} ${REMOTE_PORT-none} ${SERVER_ADDR-none} "
    "${SERVER_PORT-none} ${PROXYREMOTEIP-none} ${SSL_PEER_CERT_CN-none} ${UNIQUE_ID-none}'"
)
TRUSTED = 'proxy_protocol = ["127.0.0.1"]'


class Proxy:
    """A connection of a proxy, which says what a test has it say."""

    def __init__(self, place: Place, host: str = "127.0.0.1") -> None:
        if isinstance(place, str):
            self.connection = socket.socket(socket.AF_UNIX)
        else:
            self.connection = socket.socket()
            self.connection.bind((host, 0))
        self.connection.settimeout(30)
        self.connection.connect(place)

    def say(self, *parts: bytes) -> "Proxy":
        """Send bytes, though the connection may have been closed."""
        with contextlib.suppress(OSError):
            for part in parts:
                self.connection.sendall(part)
        return self

    def hear(self) -> bytes:
        """End the input, and return all that comes."""
        heard = b""
        with self.connection, contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            while part := self.connection.recv(65536):
                heard += part
        return heard


def ask(place: Place, *parts: bytes, host: str = "127.0.0.1") -> bytes:
    """Return what the client of a proxy hears."""
    return Proxy(place, host).say(*parts).hear()


@pytest.mark.parametrize("name", ["line", "tcp4"])
def test_program_sees_the_client_and_not_the_proxy(
    supervise: Supervise, early: str, name: str
) -> None:
    """With the address that the client has connected to; the proxy has variables of its own."""
    supervisor = supervise(service(early, TRUSTED, program=SHOW))

    heard = ask(supervisor.place("s"), RIGHT[name] + b"hello\n")

    [line] = supervisor.wait_events("connection_closed", 1)
    called = str(line["id"]).encode()
    assert heard == b"hello 192.0.2.1 1234 198.51.100.2 443 127.0.0.1 none %s\n" % called
    assert str(line["peer"]).startswith("192.0.2.1:1234 via 127.0.0.1:")


def test_what_a_proxy_knows_of_tls_are_variables(supervise: Supervise, early: str) -> None:
    """The name of the client's certificate, and what the connection is called."""
    supervisor = supervise(service(early, TRUSTED, program=SHOW))

    heard = ask(supervisor.place("s"), RIGHT["values"] + b"hello\n")

    assert heard.endswith("127.0.0.1 Jörg id-1\n".encode())
    assert supervisor.wait_events("connection_closed", 1)[0]["id"] == "id-1"


def test_header_in_pieces_takes_no_byte_of_the_input(supervise: Supervise, kind: str) -> None:
    """Cut anywhere, with the input in the same piece as the end of it."""
    supervisor = supervise(service(kind, TRUSTED, program=ECHO))
    place = supervisor.place("s")

    for content in (LINE, RIGHT["values"], UNKNOWN, RIGHT["local_long"]):
        for cut in (1, 13, len(content) - 1, len(content)):
            proxy = Proxy(place).say(content[:cut])
            supervisor.wait_events("connection_accepted", 1)
            assert proxy.say(content[cut:] + b"hello\n").hear() == b"hello\n"


def test_largest_header_comes_in(supervise: Supervise, kind: str) -> None:
    """Byte for byte as long as one may be."""
    supervisor = supervise(service(kind, TRUSTED, program=ECHO))

    assert ask(supervisor.place("s"), RIGHT["largest"], b"hello\n") == b"hello\n"


@pytest.mark.parametrize("name", ["unknown_long", "local_long", "nobody_long", "unix"])
def test_connection_of_nobody_is_the_proxys_own(
    supervise: Supervise, early: str, name: str
) -> None:
    """As of a check of its backends: the real ends are what counts."""
    supervisor = supervise(service(early, TRUSTED, program=SHOW))
    place = supervisor.place("s")
    assert isinstance(place, tuple)

    heard = ask(place, RIGHT[name] + b"hello\n").split()

    assert heard[1] == b"127.0.0.1"
    assert heard[3:-1] == [b"127.0.0.1", str(place[1]).encode(), b"none", b"none"]


def test_who_is_no_proxy_is_sent_away_whatever_it_says(supervise: Supervise, kind: str) -> None:
    """The list is looked at before a byte is believed; and no program runs."""
    supervisor = supervise(
        service(kind, TRUSTED, 'allow = ["192.0.2.0/24"]', 'refusal_text = "no"', program=ECHO)
    )
    place = supervisor.place("s")

    # what comes after it was sent away resets the connection, and the text may be lost
    assert ask(place, LINE + b"hello\n", host="127.0.0.2") in (b"no", b"")
    assert ask(place, b"hello\n", host="127.0.0.3") in (b"no", b"")
    assert ask(place, host="127.0.0.3") == b"no"
    refused = supervisor.wait_events("connection_refused", 3, reason="no proxy")
    # Each by the worker that has accepted it, which writes it down when the client has gone.
    hosts = sorted(str(line["peer"]).partition(":")[0] for line in refused)
    assert hosts == ["127.0.0.2", "127.0.0.3", "127.0.0.3"]
    assert ask(place, LINE + b"hello\n") == b"hello\n"


def test_proxy_without_a_header_is_sent_away(supervise: Supervise, kind: str) -> None:
    """At once when the first bytes are none, else when it has gone: there is no guessing."""
    supervisor = supervise(service(kind, TRUSTED, program=ECHO))
    place = supervisor.place("s")

    assert ask(place, b"hello\n") == b""
    assert ask(place, LINE[:-1]) == b""
    assert ask(place) == b""
    supervisor.wait_events("connection_refused", 3, reason="no header")


def test_proxy_that_says_nothing_is_sent_away_in_time(supervise: Supervise, kind: str) -> None:
    """While it may still speak others are served: the pool knows of it."""
    text = service(kind, TRUSTED, 'head_timeout = "2s"', program=ECHO)
    supervisor = supervise(text.replace("min = 2", "min = 1"))
    place = supervisor.place("s")
    silent = Proxy(place).say(b"PROXY ")
    supervisor.wait_events("connection_accepted", 1)

    assert ask(place, LINE + b"hello\n") == b"hello\n"
    supervisor.wait_events("connection_refused", 1, reason="late header")
    assert silent.hear() == b""
    [line, *_] = supervisor.wait_events("connection_closed", 2)
    assert {str(line["status"])} == {"0"}


def test_rules_are_about_the_client(supervise: Supervise, early: str) -> None:
    """Whether it has come at once or late: the proxy's own address matches none."""
    supervisor = supervise(
        service(
            early,
            TRUSTED,
            'allow = ["192.0.2.0/24 TENANT=lab"]',
            'deny = ["192.0.2.66", "127.0.0.1"]',
            'refusal_text = "no"',
        )
    )
    place = supervisor.place("s")
    denied = LINE.replace(b"192.0.2.1", b"192.0.2.66")

    assert ask(place, LINE + b"hello\n") == b"hello lab 192.0.2.1\n"
    assert ask(place, denied + b"hello\n") == b"no"
    slow = Proxy(place).say(denied[:9])
    supervisor.wait_events("connection_accepted", 2)
    assert slow.say(denied[9:] + b"hello\n").hear() == b"no"
    assert ask(place, block(ends("::ffff:192.0.2.66", "::1"), family=0x21)) == b"no"
    assert ask(place, RIGHT["local"]) == b"no"
    refused = supervisor.wait_events("connection_refused", 4, reason="denied")
    assert str(refused[0]["peer"]).startswith("192.0.2.66:1234 via 127.0.0.1:")


def test_source_is_that_of_the_client(supervise: Supervise, kind: str) -> None:
    """Whether it has come at once or late; the proxy has as many as there are."""
    supervisor = supervise(service(kind, TRUSTED, "source_limit = 1", program="cat"))
    place = supervisor.place("s")
    other = LINE.replace(b"192.0.2.1", b"192.0.2.2")

    one, two = Proxy(place).say(LINE + b"1"), Proxy(place).say(other[:20])
    supervisor.wait_events("connection_accepted", 2)
    two.say(other[20:] + b"2")
    assert [proxy.connection.recv(1) for proxy in (one, two)] == [b"1", b"2"]
    for content in (LINE, other):
        assert ask(place, content, b"x") == b""
        slow = Proxy(place).say(content[:9])
        assert slow.say(content[9:], b"x").hear() == b""
    supervisor.wait_events("connection_refused", 4, reason="too many from its source")
    assert [proxy.hear() for proxy in (one, two)] == [b"", b""]


def test_proxy_on_a_unix_socket_is_named_by_the_socket_or_its_user(
    supervise: Supervise, early: str, tmp_path: Path
) -> None:
    """The client behind it has come by TCP."""
    listen = f"unix:{tmp_path}/socket"
    supervisor = supervise(service(early, 'proxy_protocol = ["unix"]', listen=listen, program=SHOW))
    heard = b"hello 192.0.2.1 1234 198.51.100.2 443 none none "
    assert ask(supervisor.place("s"), LINE + b"hello\n").startswith(heard)

    supervisor.reload(service(early, 'proxy_protocol = ["uid:4711"]', listen=listen, program=SHOW))
    assert ask(supervisor.place("s"), LINE + b"hello\n") == b""


def test_reload_takes_and_gives_proxies(supervise: Supervise, kind: str) -> None:
    """With workers that were there before."""
    plain, proxied = service(kind, program=ECHO), service(kind, TRUSTED, program=ECHO)
    supervisor = supervise(plain)
    place = supervisor.place("s")
    assert ask(place, b"hello\n") == b"hello\n"

    supervisor.reload(proxied)
    assert ask(place, LINE + b"hello\n") == b"hello\n"
    assert ask(place, b"hello\n") == b""
    supervisor.reload(plain)
    assert ask(place, b"hello\n") == b"hello\n"


def test_worker_that_waits_for_a_header_survives_a_stop(supervise: Supervise, kind: str) -> None:
    """The client behind a proxy that is slow is served as any whose connection is there."""
    supervisor = supervise(service(kind, TRUSTED, program=ECHO))
    proxy = Proxy(supervisor.place("s")).say(LINE[:7])
    supervisor.wait_events("connection_accepted", 1)
    supervisor.reload(service(kind, TRUSTED, program=ECHO).replace("service.s", "service.other"))
    supervisor.wait_events("stopping", 1, service="s")

    assert proxy.say(LINE[7:] + b"hello\n").hear() == b"hello\n"


def test_header_that_is_half_read_outlives_a_reexec(supervise: Supervise, early: str) -> None:
    """The worker reads on; the next version knows neither header nor client until it is told."""
    supervisor = supervise(service(early, TRUSTED, program=SHOW))
    place = supervisor.place("s")
    proxy = Proxy(place).say(LINE[:9])
    supervisor.wait_events("connection_accepted", 1)

    supervisor.replace()

    seen = b"hello 192.0.2.1 1234 198.51.100.2 443 127.0.0.1 none "
    assert proxy.say(LINE[9:] + b"hello\n").hear().startswith(seen)
    assert ask(place, LINE + b"hello\n").startswith(seen)
    for line in supervisor.wait_events("connection_closed", 2):
        assert str(line["peer"]).startswith("192.0.2.1:1234 via 127.0.0.1:")


@pytest.mark.parametrize("front", ["scgi", "fcgi"])
@pytest.mark.parametrize("cut", [9, len(LINE)])
def test_request_of_a_web_server_begins_behind_the_header(
    supervise: Supervise, tmp_path: Path, front: str, cut: int
) -> None:
    """Whether the header comes at once or late; its variables are those of the request."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\nprintf 'Status: 200\\r\\n\\r\\n%s' \"$REMOTE_ADDR\"\n")
    script.chmod(0o755)
    supervisor = supervise(service("fork", TRUSTED, f'front = "{front}"', program=str(script)))
    variables = {"REQUEST_METHOD": "GET", "REMOTE_ADDR": "192.0.2.9"}
    whole = scgi.request(b"", **variables)
    if front == "fcgi":
        whole = fastcgi.encode(fastcgi.request(variables))
    proxy = Proxy(supervisor.place("s")).say(LINE[:cut])
    supervisor.wait_events("connection_accepted", 1)
    proxy.say(LINE[cut:] + whole)

    with proxy.connection:
        heard = read_all(proxy.connection)
    assert b"192.0.2.9" in heard
    [line] = supervisor.wait_events("connection_closed", 1)
    assert str(line["peer"]).startswith("192.0.2.1:1234 via 127.0.0.1:")


@pytest.mark.slow
@pytest.mark.parametrize("early", ["python", "load"], indirect=True)
def test_no_hostile_header_reaches_a_program(
    supervise: Supervise, early: str, tmp_path: Path
) -> None:
    """Of thousands, each broken somewhere; and whoever is well-behaved is served all the time."""
    ran = tmp_path / "ran"
    program = f"sh -c 'read line; echo $line >> {ran}; echo $line'"
    supervisor = supervise(service(early, TRUSTED, program=program))
    place = supervisor.place("s")
    count = by_extent(500, 10_000)
    vectors = [one for one in hostile(count * 2) if not isinstance(parse(one), Header)][:count]
    assert len(vectors) > count // 2

    for number, content in enumerate([*WRONG.values(), *vectors]):
        more = b"" if parse(content) is Verdict.MORE else b"reached\n"
        assert ask(place, content, more) == b""
        if number % 100 == 0:
            assert ask(place, LINE + b"hello\n") == b"hello\n"
    wait_for(ran.exists, "somebody was served")
    assert set(ran.read_text().split()) == {"hello"}


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ('proxy_protocol = ["10.0.0.1/8"]', "give 10.0.0.0/8 or the address alone"),
        ('proxy_protocol = ["all"]', "is not an address, PREFIX/LENGTH, uid:USER, gid:GROUP or u"),
        ('proxy_protocol = ["unix A=b"]', "is not an address, PREFIX/LENGTH, uid:USER, gid:GROUP"),
    ],
)
def test_list_of_proxies_that_cannot_be_is_a_mistake_of_the_file(
    tmp_path: Path, keys: str, complaint: str
) -> None:
    """One line at the start, with the place and what to give."""
    assert complaint in complaint_about(tmp_path, keys)
