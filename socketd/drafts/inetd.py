"""From the lines of inetd.conf(5), in the forms of all inetds, to services of ours.

Owns the grammar of a line and what each field is here. Must not know where a text was read.

Beside the seven fields of 4.3BSD there are: addresses in front of the service and a rate behind
"nowait" (OpenBSD, and the inetutils with another sign for the group), numbers behind it (FreeBSD),
quotes around an argument (NetBSD), a path for a UNIX socket, and Debian's mark for what is off.
"""

import re

from socketd.drafts.draft import Draft
from socketd.drafts.origin import (
    NO_MUX,
    NO_RPC,
    NOT_TCP,
    WAITS,
    Line,
    address_of,
    take_internal,
    take_program,
    take_user,
)

HEAD = (
    "A program has all groups of its user here, and its children outlive it as they did there.",
    "hosts.allow and hosts.deny are not looked at: docs/access.md says what their rules are here.",
)
_OFF = "#<off>#"
_WORD = re.compile(r"\"([^\"]*)\"|'([^']*)'|(\S+)")
_FIELDS = 6
_HOSTS = {"tcp": "", "tcp4": "0.0.0.0", "tcp6": "::", "tcp46": "::", "tcp6only": "::"}
_MOST_RATE = 100_000
_MOST_DIGITS = 9


def services_in(file: str, text: str, mistakes: list[str]) -> list[Draft]:
    """Return the services of a text; what is no line of such a file is added to the mistakes."""
    drafts, usual_hosts = [], "*"
    for line in _lines(file, text):
        is_off = line.text.startswith(_OFF)
        words = [one[1] or one[2] or one[3] for one in _WORD.finditer(_without_mark(line.text))]
        if len(words) == 1 and words[0].endswith(":") and not is_off:
            usual_hosts = words[0].removesuffix(":")
            continue
        if len(words) < _FIELDS:
            if not is_off:
                mistakes.append(line.complaint(_too_few(words)))
            continue
        draft = _service(words, usual_hosts)
        draft.is_off = is_off
        drafts.append(draft)
    return drafts


def _lines(file: str, text: str) -> list[Line]:
    """Return the lines that are no comments; one that begins with a blank goes on."""
    lines: list[Line] = []
    for number, raw in enumerate(text.split("\n"), 1):
        if not raw.strip() or (raw.startswith("#") and not raw.startswith(_OFF)):
            continue
        if raw[0] in " \t" and lines:
            last = lines.pop()
            lines.append(Line(file, last.number, f"{last.text} {raw.strip()}"))
        else:
            lines.append(Line(file, number, raw.strip()))
    return lines


def _without_mark(text: str) -> str:
    return text.removeprefix(_OFF)


def _too_few(words: list[str]) -> str:
    return (
        f"found {' '.join(words)[:60]!r}, {len(words)} fields in place of service, type, protocol, "
        "wait or nowait, user, program and arguments"
    )


def _service(words: list[str], usual_hosts: str) -> Draft:
    place, kind, protocol, waiting, user, program = words[:_FIELDS]
    protocol, *buffers = protocol.split(",")
    is_unix = protocol == "unix"
    hosts, colon, name = ("", "", place) if is_unix else place.rpartition(":")
    draft = Draft(name.rstrip("/").rpartition("/")[2] if is_unix else name)
    why_not = _why_not(kind, protocol, name, waiting)
    if why_not:
        draft.refuse(why_not)
        return draft
    if is_unix:
        draft.listen = [f"unix:{name}"]
    else:
        given = (hosts if colon else usual_hosts).split(",")
        usual = _HOSTS[protocol]
        draft.listen = [address_of(usual if one in ("*", "") else one, name) for one in given]
    if program == "internal":
        take_internal(draft, name)
    else:
        take_program(draft, program, words[_FIELDS:], has_name=True)
    if not draft.listen:
        return draft
    _take_user(draft, user)
    _take_numbers(draft, waiting)
    draft.settings["keep_children"] = True
    for one in buffers:
        draft.remark(one, "the sizes of buffers are the system's")
    return draft


def _why_not(kind: str, protocol: str, name: str, waiting: str) -> str:
    """Return why a service cannot be served here, nothing if it can."""
    if protocol.startswith("rpc/") or ("/" in name and protocol != "unix" and "tcpmux" not in name):
        return NO_RPC
    if name.startswith("tcpmux"):
        return NO_MUX
    if kind != "stream" or (protocol not in _HOSTS and protocol != "unix"):
        return NOT_TCP
    if protocol == "unix" and not name.startswith("/"):
        return f"the path {name!r} of its socket is not absolute"
    if waiting.startswith("wait"):
        return WAITS
    return "" if waiting.startswith("nowait") else f"{waiting!r} is neither wait nor nowait"


def _take_user(draft: Draft, text: str) -> None:
    """Take USER, USER.GROUP or USER:GROUP, which a class of logins may follow."""
    names, slash, _ = text.partition("/")
    if slash:
        draft.remark(f"user {text}", "there are no classes of logins here; see limits")
    sign = ":" if ":" in names else "."
    user, _, group = names.partition(sign)
    take_user(draft, user, group)


def _take_numbers(draft: Draft, waiting: str) -> None:
    """Take so many a minute behind a dot or a colon, or the numbers of FreeBSD behind slashes."""
    rest = waiting.removeprefix("nowait")
    if not rest:
        return
    settings: dict[str, object] = {}
    if rest[0] in ".:":
        number = _number(rest[1:])
        if number:
            settings["rate"] = f"{number}/m"
            draft.about["rate"] = (
                f"{waiting}: who comes too often is sent away; nobody else waits for that"
            )
    elif rest[0] == "/":
        most, rate, of_source, *_ = [*map(_number, rest[1:].split("/")), 0, 0]
        if most:
            settings["workers.max"] = min(most, 32768)
        if rate:
            settings["source_rate"] = f"{rate}/m"
        if of_source:
            settings["source_limit"] = min(of_source, 32768)
    if not settings:
        draft.remark(waiting, "nothing is bounded by that here")
    draft.settings |= settings


def _number(text: str) -> int:
    """Return a number, 0 for what is none or for no limit."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS
    return min(int(text), _MOST_RATE) if is_number else 0
