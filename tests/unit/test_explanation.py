"""How an explanation looks: the table, what is shared, and the notes below."""

import json

from socketd.cli.explanation import as_json, as_line, as_text
from socketd.config.services import ServiceSettings
from socketd.explain.findings import Choice, Explanation, Finding
from socketd.explain.sharing import Access, SharedFile, Sharing, State
from socketd.explain.visitor import Visit
from socketd.pool.settings import PoolSettings
from socketd.programs.command import Program
from socketd.settings.address import InheritedAddress
from socketd.settings.readiness import Readiness, ReadyLevel

SETTINGS = ServiceSettings(
    "explain",
    InheritedAddress(""),
    Program("/bin/cat", ("cat", "a b")),
    {},
    PoolSettings(1, 1),
)
FRESH = Sharing((), False, State.FRESH, State.FRESH)
FILES = (
    SharedFile(3, "/x", Access.OWN),
    SharedFile(4, "/y", Access.WRITE, is_locked=True),
)
AUTO = Choice(ReadyLevel.LOAD)
SHARED = Sharing(FILES, True, State.SHARED, State.SHARED, "it has two stacks")


def _visit(first: float | None, end: float | None, answer: bytes = b"a") -> Visit:
    return Visit(first, end, len(answer), answer)


def test_numbers_stand_to_the_right_and_states_at_the_end() -> None:
    """Every column is as wide as its widest cell; the level of auto comes below."""
    findings = (
        Finding(ReadyLevel.FORK, None, FRESH, 8, (_visit(0.0015, 0.002),), (0,)),
        Finding(ReadyLevel.LOAD, "it is linked statically"),
        Finding(ReadyLevel.RELAY, None, FRESH, 2048, (_visit(0.2, 0.3),), (0,)),
    )

    auto = Choice(ReadyLevel.FORK, "it is linked statically")
    assert as_text(Explanation(findings, auto), SETTINGS) == (
        "cat 'a b'\n"
        "\n"
        "level  first byte   memory  state\n"
        "fork      1.50 ms    8 KiB  not started ahead\n"
        "load            -        -  not held: it is linked statically\n"
        "relay   200.00 ms  2.0 MiB  started once for each worker\n"
        "\n"
        "auto takes fork: it is linked statically"
    )


def test_what_copies_share_is_listed_for_held_levels() -> None:
    """With the time until another template, and each file with what it is for a copy."""
    text = as_text(Explanation((Finding(ReadyLevel.READ, None, SHARED, 8),), AUTO), SETTINGS)

    assert text.endswith(
        "Copies share, until a new template is started after 1h:\n"
        "read   the address layout; the stack canary (it has two stacks); "
        "the state of random numbers, if it has drawn any before; "
        "/x (descriptor 3, each copy reads it on its own); "
        "/y (descriptor 4, open for writing, locked); more files; no time limit"
    )


def test_what_a_table_cannot_say_is_said_below() -> None:
    """No byte, no end, no memory, another answer: each has its note."""
    findings = (
        Finding(ReadyLevel.FORK, None, FRESH, None, (_visit(None, 0.001, b""),), (0,)),
        Finding(ReadyLevel.READ, None, FRESH, 8, (_visit(0.001, 0.001, b"x"),), (0,)),
        Finding(ReadyLevel.RELAY, None, FRESH, 8, (_visit(0.001, None, b"y"),), ()),
    )

    *_, silent, memory, hung, other = as_text(Explanation(findings, AUTO), SETTINGS).splitlines()

    assert silent.startswith("(): no byte came")
    assert memory.startswith("?: the system does not let us")
    assert hung == "A connection did not end in time at relay"
    assert other.startswith("Not every answer was the same (read)")


def test_names_of_the_json_are_there_whatever_was_found() -> None:
    """A level that cannot be had has the same names as one that can."""
    findings = (Finding(ReadyLevel.READ, None, SHARED, 8), Finding(ReadyLevel.LOAD, "why"))

    held, refused = json.loads(as_json(Explanation(findings, AUTO), SETTINGS))["levels"]

    assert held.keys() == refused.keys()
    assert held["shares"]["renew_after_s"] == 3600.0
    assert refused["shares"] is None


def test_line_tells_the_level_and_why_it_is_no_other() -> None:
    """The level that is taken comes first, then the wanted one with the reason."""
    wanted = Readiness(ReadyLevel.READ)

    assert as_line(Choice(ReadyLevel.READ), wanted) == "read: held at its first read"
    assert as_line(Choice(ReadyLevel.FORK, "this; that"), wanted) == (
        "fork: not started ahead, since it is not held at read: this; that"
    )
