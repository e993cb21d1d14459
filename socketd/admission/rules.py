"""From what an operator has set, and files of rules, to one set of rules.

Owns the form of a file, and what no rule may set. Must not know how rules are weighed.

A file has a rule a line, in the form of a setting. A word that begins with `#` begins a comment.
"""

import math
import os
import stat
from collections.abc import Collection

from socketd.admission.table import RuleSet
from socketd.errors import UsageError, describe_errno
from socketd.settings.admission import Admission
from socketd.settings.peerrule import PeerRule, parse_proxy, parse_rule

MOST_BYTES = 16 << 20
_MOST_MS = 2**31 - 1


def gather(admission: Admission, obstacle: str, taken: Collection[str]) -> RuleSet:
    """Return all rules. Raises UsageError for a file or a rule that cannot be used.

    `obstacle` says why the program can get no variables from a rule, and is empty if it can.
    `taken` are the names of those that it has already.
    """
    allow, deny = (tuple(map(parse_rule, texts)) for texts in (admission.allow, admission.deny))
    if admission.allow_file is not None:
        allow += read_rules(admission.allow_file)
    if admission.deny_file is not None:
        deny += read_rules(admission.deny_file)
    refusal = admission.refusal.encode(errors="surrogateescape")
    proxies = None if admission.proxies is None else tuple(map(parse_proxy, admission.proxies))
    rules = RuleSet(
        allow,
        deny,
        is_closed=admission.has_list,
        refusal=refusal,
        proxies=proxies,
        header_ms=min(math.ceil(admission.header_seconds * 1000), _MOST_MS),
    )
    if rules.variables and obstacle:
        raise UsageError(f"a rule sets variables, and {obstacle}")
    if twice := sorted(rules.variables & set(taken)):
        raise UsageError(f"a rule sets {twice[0]}, which the program has anyway; use another name")
    return rules


def read_rules(path: str) -> tuple[PeerRule, ...]:
    """Return the rules of a file. Raises UsageError, with the number of the line."""
    rules = []
    for number, line in enumerate(_read(path).splitlines(), 1):
        words = line.split()
        end = next((place for place, word in enumerate(words) if word[0] == "#"), len(words))
        if end:
            try:
                rules.append(parse_rule(" ".join(words[:end])))
            except UsageError as error:
                raise UsageError(f"{path}: line {number}: {error}") from None
    return tuple(rules)


def _read(path: str) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise UsageError(f"{path}: it is not a regular file")
            parts, room = [], MOST_BYTES + 1
            while room and (part := os.read(fd, room)):
                parts.append(part)
                room -= len(part)
        finally:
            os.close(fd)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {_why(error)}") from None
    if not room:
        raise UsageError(f"{path}: it has more than {MOST_BYTES} bytes")
    return b"".join(parts).decode(errors="surrogateescape")


def _why(error: Exception) -> str:
    return describe_errno(error.errno or 0) if isinstance(error, OSError) else str(error)
