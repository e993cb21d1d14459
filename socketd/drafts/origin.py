"""What both translators share: where a line stands, and what super-servers have in common.

Owns the internal services, the programs behind tcpd, and lists of clients in the forms of xinetd.
Must not know the grammar of any file.
"""

import os
import re
import socket
from collections.abc import Iterable

from socketd.dataclass import dataclass
from socketd.drafts.draft import Draft

WRAPPERS_FOLDER = "/usr/sbin"  # where tcpd looks for a program that it is given without a folder
NOT_TCP = "socketd serves connections of TCP and UNIX sockets, and this is none"
WAITS = "with 'wait' the program accepts by itself, so it has to stay there, or be a daemon"
NO_RPC = "socketd registers nothing at a port mapper"
NO_MUX = "socketd has no tcpmux: give the service a port of its own"
TCPD = (
    "tcpd stood before the program and is left out: what hosts.allow and hosts.deny say of it "
    "becomes allow and deny, see docs/access.md"
)
_DOTTED = re.compile(r"\d{1,3}(?:\.\d{1,3}){0,3}", re.ASCII)
_FACTORED = re.compile(r"((?:\d{1,3}\.){0,3})\{([\d, ]+)\}", re.ASCII)
_MOST_FACTORS = 1000

# For echo, discard and daytime a program of every system does the same.
_INTERNAL: dict[str, object] = {
    "echo": ["cat"],
    "discard": "cat >/dev/null",
    "daytime": ["date"],
}
_WHY_NO_INTERNAL = {
    "services": "`socketd status` shows what is served",
    "servers": "`socketd status` shows who is served",
    "xadmin": "`socketd status` and its like show what is served",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file of another server, for what is said of it."""

    file: str
    number: int
    text: str

    def complaint(self, why: str) -> str:
        """Return what is wrong with it."""
        return f"{self.file}:{self.number}: {why}"


def take_internal(draft: Draft, name: str) -> None:
    """Give a service that its server did itself a program that does the same, if there is one."""
    program = _INTERNAL.get(name)
    if program is None:
        no_program = "its server did that itself, and no common program does it"
        draft.refuse(_WHY_NO_INTERNAL.get(name, no_program))
        return
    draft.settings["program"] = program
    if name == "daytime":
        draft.about["program"] = "what date(1) prints; the form of this answer is nobody's rule"


def take_program(draft: Draft, path: str, words: list[str], *, has_name: bool) -> None:
    """Give a service its program; with `has_name` the first word is what it is to be called."""
    if has_name and words and os.path.basename(path) == "tcpd":
        draft.remarks.append(TCPD)
        path = words[0] if "/" in words[0] else f"{WRAPPERS_FOLDER}/{words[0]}"
        words = [path, *words[1:]]
    if has_name and words:
        called, words = words[0], words[1:]
        if os.path.basename(called) != os.path.basename(path):
            draft.remark(f"the name {called!r}", f"here the program is called {path!r}")
    draft.settings["program"] = [path, *words]


def take_user(draft: Draft, user: str, group: str) -> None:
    """Give a service its user and group."""
    draft.settings["user"] = user
    if group:
        draft.settings["groups"] = [group]
        draft.remark(f"group {group!r}", "it is the only one here; name others in groups, too")


def address_of(host: str, port: str) -> str:
    """Return a TCP address as it stands in a file; an empty host is all addresses."""
    if not host:
        return f"tcp:{port}"
    bare = host.strip("[]")
    return f"tcp:[{bare}]:{port}" if ":" in bare else f"tcp:{bare}:{port}"


def clients_in(words: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return rules for a list of clients in the forms of xinetd, and the words that are none."""
    rules: list[str] = []
    others: list[str] = []
    for word in words:
        found = _rules_of(word)
        if found:
            rules += found
        else:
            others.append(word)
    return list(dict.fromkeys(rules)), others


def _rules_of(word: str) -> list[str]:
    if word == "localhost":
        return ["127.0.0.1", "::1"]
    factored = _FACTORED.fullmatch(word)
    if factored is not None:
        ends = [one.strip() for one in factored[2].split(",")][:_MOST_FACTORS]
        found = [_prefix(factored[1] + end) for end in ends if end]
        return [] if None in found else [one for one in found if one is not None]
    host, slash, bits = word.partition("/")
    rule = _range(host, bits) if slash else _prefix(host)
    return [] if rule is None else [rule]


def _prefix(host: str) -> str | None:
    """Return the rule for an address; of one of IPv4 zeros and nothing at the end are any."""
    if not _DOTTED.fullmatch(host):
        return _range(host, "")
    octets = host.split(".")
    while octets and int(octets[-1]) == 0:
        octets.pop()
    length = 8 * len(octets)
    whole = ".".join([*octets, "0", "0", "0", "0"][:4])
    return _range(whole, str(length) if length < 32 else "")


def _range(host: str, bits: str) -> str | None:
    """Return a rule without bits behind its prefix, None for what is no address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    most = 128 if ":" in host else 32
    try:
        packed = socket.inet_pton(family, host)
    except (OSError, ValueError):
        return None
    if bits and not (bits.isascii() and bits.isdecimal() and len(bits) <= len("128")):
        return None
    length = int(bits) if bits else most
    if length > most:
        return None
    number = int.from_bytes(packed, "big") >> (most - length) << (most - length)
    network = socket.inet_ntop(family, number.to_bytes(most // 8, "big"))
    return network if length == most else f"{network}/{length}"
