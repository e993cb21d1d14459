"""Entries of xinetd.conf become services of ours, or a comment that says why not."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketd.drafts.draft import Draft, document
from socketd.drafts.xinetd import services_in
from socketd.drafts.xinetd_file import Parser

from .test_inetd import check_document

FTP = """
service ftp
{
    socket_type = stream
    wait        = no
    user        = root
    server      = /usr/sbin/ftpd
    server_args = -l -a
    %s
}
"""


def nothing(path: str, is_folder: bool) -> Iterator[tuple[str, str]]:
    """Have no file to include."""
    raise FileNotFoundError(2, f"No such file{' or folder' if is_folder else ''}", path)


def read(text: str) -> Parser:
    """Return what was read of a text."""
    parser = Parser(nothing)
    parser.parse("xinetd.conf", text)
    return parser


def drafts_of(text: str) -> list[Draft]:
    """Return the services of a text without mistakes."""
    parser = read(text)
    assert parser.mistakes == []
    return services_in(parser)


def ftp(*lines: str, before: str = "") -> Draft:
    """Return the service with more attributes."""
    [draft] = drafts_of(before + FTP % "\n".join(lines))
    return draft


def test_entry_becomes_a_service() -> None:
    """Without a flag a service is one of IPv4 there, so it is one here."""
    assert tomllib.loads(document((), [ftp()])) == {
        "service": {
            "ftp": {
                "listen": "tcp:0.0.0.0:ftp",
                "program": ["/usr/sbin/ftpd", "-l", "-a"],
                "user": "root",
                "keep_children": True,
            }
        }
    }


@pytest.mark.parametrize(
    ("line", "settings"),
    [
        ("instances = 10", {"workers.max": 10, "when_full": "refuse"}),
        ("per_source = 5", {"source_limit": 5}),
        ("cps = 25 30", {"rate": "25/s"}),
        ("nice = -5", {"nice": -5}),
        ("umask = 22", {"umask": "0022"}),
        ("group = tty", {"groups": ["tty"]}),
        ("env = A=b C=d=e", {"environment": {"A": "b", "C": "d=e"}}),
        ("rlimit_as = 8M", {"limits": {"as": 8 * 2**20}}),
        ("rlimit_files = 64", {"limits": {"nofile": 64}}),
        ("rlimit_cpu = UNLIMITED", {"limits": {"cpu": "unlimited"}}),
        ("only_from = 10.1.0.0 192.0.2.7 0.0.0.0", {"allow": ["10.1.0.0/16", "192.0.2.7",
                                                              "0.0.0.0/0"]}),
        ("only_from = 192.0.2.{1,2} 2001:db8::/32", {"allow": ["192.0.2.1", "192.0.2.2",
                                                               "2001:db8::/32"]}),
        ("only_from = 10.1.2.3/16 localhost", {"allow": ["10.1.0.0/16", "127.0.0.1", "::1"]}),
        ("only_from =", {"allow": []}),
        ("no_access = 192.0.2.1", {"deny": ["192.0.2.1"]}),
        ("flags = SENSOR\n deny_time = 60", {"program": ["/bin/false"], "sensor": "60m"}),
        ("redirect = 192.0.2.1 23", {"program": ["socket", "-N", "192.0.2.1", "23"]}),
    ],
)  # fmt: skip
def test_attribute_becomes_a_setting(line: str, settings: dict[str, object]) -> None:
    """Its value means the same."""
    draft = ftp(line)

    assert {key: draft.settings.get(key) for key in settings} == settings
    assert draft.remarks == []


@pytest.mark.parametrize(
    ("line", "listen"),
    [
        ("bind = 127.0.0.1", "tcp:127.0.0.1:ftp"),
        ("interface = ::1", "tcp:[::1]:ftp"),
        ("port = 2121", "tcp:0.0.0.0:2121"),
        ("flags = IPv6", "tcp:ftp"),
        ("flags = NODELAY KEEPALIVE",
         {"address": "tcp:0.0.0.0:ftp", "nodelay": True, "keepalive": "2h"}),
    ],
)  # fmt: skip
def test_place_becomes_an_address(line: str, listen: object) -> None:
    """With what there is to say of the listener."""
    assert ftp(line).listen == [listen]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("instances = UNLIMITED", "workers.max is 256"),
        ("instances = 0", "it is no number from 1"),
        ("only_from = .example.org", "addresses and prefixes, no names"),
        ("only_from = 192.0.2.999", "addresses and prefixes, no names"),
        ("access_times = 8:00-17:00", "no hours"),
        ("max_load = 2.5", "the load does not matter"),
        ("banner = /etc/issue", "nothing is sent before"),
        ("banner_fail = /etc/no", "refusal_text"),
        ("passenv = PATH", "all of the server's environment"),
        ("flags = IDONLY", "nobody is asked"),
        ("flags = NOVEL", "this flag is not known"),
        ("novel = 1", "this attribute is not known"),
        ("umask = 99", "no octal number"),
        ("rlimit_as = much", "no number of this size"),
        ("cps = many 3", "it is no number from 1"),
        ("env = A", "it is not NAME=VALUE"),
    ],
)
def test_what_is_not_here_is_a_remark(line: str, why: str) -> None:
    """The service is served without it."""
    draft = ftp(line)

    assert draft.listen
    assert why in " ".join(draft.remarks)


def test_rules_without_any_that_is_left_let_nobody_in() -> None:
    """A list of names only would otherwise open the service to everybody."""
    assert ftp("only_from = .example.org").settings["allow"] == []


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("socket_type = dgram", "connections of TCP"),
        ("protocol = udp", "connections of TCP"),
        ("wait = yes", "accepts by itself"),
        ("type = RPC", "port mapper"),
        ("type = TCPMUX", "no tcpmux"),
        ("type = INTERNAL\nid = servers", "no common program"),
        ("server =", "no server says what to run"),
        ("redirect = host", "is not a host and a port"),
        ("flags = SENSOR\ndeny_time = NEVER", "only logged"),
        ("flags = SENSOR", "needs a number of minutes"),
    ],
)
def test_service_that_cannot_be_served_is_a_comment(lines: str, why: str) -> None:
    """It says why."""
    draft = ftp(lines)

    assert draft.listen == []
    assert why in draft.remarks[0]


def test_defaults_are_for_all_who_do_not_say_otherwise() -> None:
    """A list is replaced by =, and added to by +=."""
    before = "defaults\n{\n instances = 25\n only_from = 10.0.0.0\n only_from = 192.0.2.1\n}\n"

    assert ftp(before=before).settings["allow"] == ["10.0.0.0/8", "192.0.2.1"]
    assert ftp("only_from = ::1", before=before).settings["allow"] == ["::1"]
    assert ftp("only_from += ::1", before=before).settings["allow"] == [
        "10.0.0.0/8", "192.0.2.1", "::1",
    ]  # fmt: skip
    assert ftp("only_from -= 192.0.2.1", before=before).settings["allow"] == ["10.0.0.0/8"]
    assert ftp("only_from =", before=before).settings["allow"] == []
    assert ftp(before=before).settings["workers.max"] == 25


@pytest.mark.parametrize(
    ("line", "before", "is_off"),
    [
        ("disable = yes", "", True),
        ("disable = no", "", False),
        ("flags = DISABLE", "", True),
        ("", "defaults\n{\n disabled = ftp\n}\n", True),
        ("id = ftp2", "defaults\n{\n disabled = ftp\n}\n", False),
        ("", "defaults\n{\n enabled = other\n}\n", True),
        ("", "defaults\n{\n enabled = other\n enabled = ftp\n}\n", False),
    ],
)
def test_service_that_is_off_is_a_comment(line: str, before: str, is_off: bool) -> None:
    """It can be switched on here as it could be there."""
    assert ftp(line, before=before).is_off == is_off


def test_tcpd_with_a_name_in_its_arguments_is_left_out() -> None:
    """NAMEINARGS is for tcpd."""
    draft = ftp("flags = NAMEINARGS", "server = /usr/sbin/tcpd", "server_args = in.ftpd -l")

    assert draft.settings["program"] == ["/usr/sbin/in.ftpd", "-l"]
    assert "docs/access.md" in draft.remarks[0]


def test_names_are_made_different_and_valid() -> None:
    """Two services of one name differ by address there, and need not here."""
    text = document((), drafts_of(FTP % "" + FTP % "bind = ::1" + FTP % "id = b c/d"))

    assert list(tomllib.loads(text)["service"]) == ["ftp", "ftp-2", "b-c-d"]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("service a\n{\n", "xinetd.conf:1: the entry has no } at its end"),
        ("service a\nuser = b\n", "xinetd.conf:2: found 'user = b' in place of the { of an entry"),
        ("service a\n{\nuser\n}", "xinetd.conf:3: found 'user' in place of ATTRIBUTE = VALUE"),
        ("nonsense", "xinetd.conf:1: found 'nonsense' in place of service NAME, defaults or incl"),
    ],
)
def test_mistake_is_named_by_its_line(text: str, mistake: str) -> None:
    """Each of them, in one go."""
    assert any(one.startswith(mistake) for one in read(text).mistakes)


def test_include_that_is_not_there_is_a_remark() -> None:
    """The file may be of another machine."""
    assert "'/no/such' cannot be read" in read("includedir /no/such").remarks[0]


WORDS = st.sampled_from(
    "service defaults includedir { } = += -= ftp id type INTERNAL RPC flags SENSOR IPv6 disable "
    "yes no socket_type stream dgram wait user group server /bin/x server_args only_from 10.0.0.0 "
    "1.2.{3,4} ::/0 no_access instances 5 UNLIMITED per_source cps nice umask 022 env A=b port "
    "redirect bind rlimit_as 9M deny_time 60 enabled disabled access_times \u00e9 \x7f".split()
)
LINES = st.lists(WORDS | st.text(max_size=6), max_size=5).map(" ".join)


@given(lines=st.lists(LINES), attributes=st.lists(LINES, max_size=12))
def test_any_text_becomes_a_file_or_mistakes(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], attributes: list[str]
) -> None:
    """It is a stranger's file: nothing in it breaks the translator or the form of the result."""
    text = "\n".join([*lines, "service a", "{", *attributes, "}"])
    folder: Path = tmp_path_factory.getbasetemp()

    check_document(services_in(read(text)), folder)
    check_document(services_in(read(FTP % text)), folder)
