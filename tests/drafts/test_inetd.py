"""Lines of inetd.conf in all forms become services of ours, or a comment that says why not."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketd.config.file import parse
from socketd.config.findings import Findings
from socketd.drafts.draft import Draft, document
from socketd.drafts.inetd import services_in

LINE = "finger stream tcp nowait nobody /usr/sbin/in.fingerd in.fingerd -l"


def drafts_of(text: str) -> list[Draft]:
    """Return the services of a text without mistakes."""
    mistakes: list[str] = []
    drafts = services_in("inetd.conf", text, mistakes)
    assert mistakes == []
    return drafts


def written(text: str) -> dict[str, dict[str, object]]:
    """Return the services of the file that is made of a text."""
    services: dict[str, dict[str, object]] = tomllib.loads(document((), drafts_of(text))).get(
        "service", {}
    )
    return services


def test_line_becomes_a_service() -> None:
    """The name that the program is called is a word there, and not here."""
    assert written(LINE) == {
        "finger": {
            "listen": "tcp:finger",
            "program": ["/usr/sbin/in.fingerd", "-l"],
            "user": "nobody",
            "keep_children": True,
        }
    }


@pytest.mark.parametrize(
    ("place", "protocol", "listen"),
    [
        ("79", "tcp", "tcp:79"),
        ("79", "tcp4", "tcp:0.0.0.0:79"),
        ("79", "tcp6", "tcp:[::]:79"),
        ("*:79", "tcp4", "tcp:0.0.0.0:79"),
        ("127.0.0.1:79", "tcp", "tcp:127.0.0.1:79"),
        ("::1:79", "tcp6", "tcp:[::1]:79"),
        ("[::1]:79", "tcp6", "tcp:[::1]:79"),
        ("127.0.0.1,host:79", "tcp", ["tcp:127.0.0.1:79", "tcp:host:79"]),
        ("/run/finger.sock", "unix", "unix:/run/finger.sock"),
    ],
)
def test_place_becomes_an_address(place: str, protocol: str, listen: object) -> None:
    """Addresses stand in front of the service, the family in the protocol."""
    [service] = written(LINE.replace("finger ", f"{place} ", 1).replace("tcp", protocol)).values()

    assert service["listen"] == listen


def test_address_alone_is_for_the_lines_behind_it() -> None:
    """Until the next line of that kind."""
    found = [one.listen for one in drafts_of(f"127.0.0.1:\n{LINE}\n*:\n{LINE}")]

    assert found == [["tcp:127.0.0.1:finger"], ["tcp:finger"]]


@pytest.mark.parametrize(
    ("user", "settings"),
    [
        ("nobody", {"user": "nobody"}),
        ("nobody.tty", {"user": "nobody", "groups": ["tty"]}),
        ("saned:saned", {"user": "saned", "groups": ["saned"]}),
        ("first.last:tty", {"user": "first.last", "groups": ["tty"]}),
        ("nobody/daemon", {"user": "nobody"}),
    ],
)
def test_user_may_have_a_group(user: str, settings: dict[str, object]) -> None:
    """Behind a dot or a colon; a class of logins is a remark."""
    [draft] = drafts_of(LINE.replace("nobody", user))

    assert {key: draft.settings.get(key) for key in settings} == settings
    assert ("classes of logins" in str(draft.remarks)) == ("/" in user)


@pytest.mark.parametrize(
    ("waiting", "settings"),
    [
        ("nowait", {}),
        ("nowait.400", {"rate": "400/m"}),
        ("nowait:40", {"rate": "40/m"}),
        ("nowait/10", {"workers.max": 10}),
        ("nowait/0/60/5", {"source_rate": "60/m", "source_limit": 5}),
    ],
)
def test_numbers_behind_nowait_are_limits(waiting: str, settings: dict[str, object]) -> None:
    """Those of OpenBSD and those of FreeBSD."""
    [draft] = drafts_of(LINE.replace("nowait", waiting))

    limits = {"rate", "workers.max", "source_rate", "source_limit"}
    assert {key: value for key, value in draft.settings.items() if key in limits} == settings


@pytest.mark.parametrize("real", ["/usr/sbin/in.fingerd", "in.fingerd"])
def test_tcpd_is_left_out_with_a_remark(real: str) -> None:
    """The rules that it looks at have to become rules of ours."""
    [draft] = drafts_of(LINE.replace("/usr/sbin/in.fingerd in.fingerd", f"/usr/sbin/tcpd {real}"))

    assert draft.settings["program"] == ["/usr/sbin/in.fingerd", "-l"]
    assert "docs/access.md" in draft.remarks[0]


def test_program_under_another_name_is_a_remark() -> None:
    """Here it cannot be called otherwise than it is named."""
    [draft] = drafts_of(LINE.replace(" in.fingerd", " other"))

    assert draft.remarks == ["the name 'other': here the program is called '/usr/sbin/in.fingerd'"]


@pytest.mark.parametrize(
    ("name", "program"),
    [("echo", ["cat"]), ("discard", "cat >/dev/null"), ("daytime", ["date"]), ("chargen", None)],
)
def test_internal_service_is_a_program_that_does_the_same(name: str, program: object) -> None:
    """Where every system has one."""
    [draft] = drafts_of(f"{name} stream tcp nowait root internal")

    assert draft.settings.get("program") == program
    assert bool(draft.listen) == (program is not None)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("talk dgram udp wait nobody.tty /usr/sbin/in.talkd in.talkd", "connections of TCP"),
        ("x stream udp nowait root /bin/x x", "connections of TCP"),
        ("rstatd/1-3 dgram rpc/udp wait root /usr/sbin/rpc.rstatd rpc.rstatd", "port mapper"),
        ("tcpmux/+date stream tcp nowait guest /bin/date date", "no tcpmux"),
        ("x stream tcp wait root /bin/x x", "accepts by itself"),
        ("x stream unix nowait root /bin/x x", "is not absolute"),
        ("x stream tcp later root /bin/x x", "neither wait nor nowait"),
    ],
)
def test_service_that_cannot_be_served_is_a_comment(line: str, why: str) -> None:
    """It says why, and nothing is made of the rest of its line."""
    [draft] = drafts_of(line)

    assert (draft.listen, why in draft.remarks[0]) == ([], True)
    assert written(line) == {}


def test_what_debian_has_switched_off_is_a_comment() -> None:
    """update-inetd puts a mark before the line; any other comment is none."""
    text = f"#<off># {LINE}\n# a comment\n#:INFO: a group\n#<off># three words only\n"
    [draft] = drafts_of(text)

    assert draft.is_off
    assert '# program = ["/usr/sbin/in.fingerd", "-l"]\n' in document((), [draft])


def test_line_that_begins_with_a_blank_goes_on_and_quotes_hold_words_together() -> None:
    """As in the inetds that have these."""
    [draft] = drafts_of(f"{LINE}\n\t-m 'two words'")

    assert draft.settings["program"] == ["/usr/sbin/in.fingerd", "-l", "-m", "two words"]


def test_line_with_too_few_fields_is_a_mistake() -> None:
    """It names its place and what a line consists of."""
    mistakes: list[str] = []
    services_in("/etc/inetd.conf", f"{LINE}\n\nfinger stream tcp\n", mistakes)

    [mistake] = mistakes
    assert mistake == (
        "/etc/inetd.conf:3: found 'finger stream tcp', 3 fields in place of service, type, "
        "protocol, wait or nowait, user, program and arguments"
    )


WORDS = st.sampled_from(
    "finger 79 stream dgram tcp tcp6 unix udp nowait nowait.5 nowait/1/2/3 wait root a.b a:b / /x "
    "internal echo tcpd /usr/sbin/tcpd * *: 1.2.3.4,::1:79 [::1]:x tcp,rcvbuf=1k #<off># ' \" \x7f"
    " \u00e9 : , .".split(" ")
)
TEXTS = st.lists(st.lists(WORDS | st.text(max_size=8), max_size=9).map(" ".join)).map("\n".join)


def check_document(drafts: list[Draft], folder: Path) -> None:
    """Whatever was read, what is written is a file whose only mistakes can be unknown places."""
    text = document(("a\nb", "\x00"), drafts)
    file = folder / "services.toml"
    file.write_text(text, encoding="utf-8", errors="strict")
    findings = Findings()
    if "service" in tomllib.loads(text):
        parse(str(file), findings)
    mistakes = [str(one) for one in findings.mistakes]
    assert [one for one in mistakes if ".listen" not in one and ".user" not in one
            and ".groups" not in one and ".program" not in one
            and ".environment" not in one] == []  # fmt: skip


@given(text=TEXTS)
def test_any_text_becomes_a_file_or_mistakes(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    """It is a stranger's file: nothing in it breaks the translator or the form of the result."""
    check_document(services_in("x", text, []), tmp_path_factory.getbasetemp())
