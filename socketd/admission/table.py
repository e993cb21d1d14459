"""The table of a gate: rules made so that there is one search left to do for a client.

Owns the way from rules to the bytes of a table, and the answer for a client, which
native/admission.c gives as well (a test holds the two against each other). Must not know where a
table is kept, nor who asks.

The longest prefix wins, and at the same length a rule that denies. A user is more than a group, and
each more than everybody. Who matches no rule may come in if nothing is allowed in particular.

Addresses become ranges that do not overlap, in order: a range ends where the next one begins.
"""

import socket
import struct
from itertools import pairwise

from socketd.admission.refusal import NO_PROXY, REASONS
from socketd.dataclass import dataclass
from socketd.errors import UsageError
from socketd.programs.peer import Peer
from socketd.settings.peerrule import (
    AddressRange,
    Everybody,
    GroupId,
    PeerRule,
    UnixClients,
    UserId,
)

HALF_SIZE = 4 << 20
MOST_REFUSAL_BYTES = 512
DENIED = 0
_ALIGNMENT = 4
HEADER = struct.Struct("=IIIIIIIII4x")
IPV4 = struct.Struct("=II")
IPV6 = struct.Struct("=16sI")
IDS = struct.Struct("=II")
_BITS: dict[int, int] = {socket.AF_INET: 32, socket.AF_INET6: 128}
_NO_VARIABLES = b"\0"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a client may come in, the variables that its program gets then, or what it hears.

    One that may by the rules may still be one too many.
    With `header_ms` it is a proxy, which is to say for whom it comes within this time.
    """

    is_granted: bool
    variables: dict[str, str]
    refusal: bytes = b""
    reason: str = REASONS[0]
    header_ms: int = 0


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All rules of a service.

    `is_closed` says that who matches none may not come in. `refusal` is sent to who may not.
    With `proxies` who has connected has to be one, which says for whom within `header_ms`.
    """

    allow: tuple[PeerRule, ...] = ()
    deny: tuple[PeerRule, ...] = ()
    is_closed: bool = False
    refusal: bytes = b""
    proxies: tuple[PeerRule, ...] | None = None
    header_ms: int = 0

    @property
    def variables(self) -> set[str]:
        """Return the names of all variables that a program may get by a rule."""
        return {text.partition("=")[0] for rule in self.allow for text in rule.variables}


class _Texts:
    """Variables of verdicts, each combination once; the text for who is refused comes first."""

    def __init__(self, refusal: bytes) -> None:
        self.content = bytearray(refusal)
        self._offsets: dict[bytes, int] = {}

    def verdict(self, rule: PeerRule | None) -> int:
        """Return the verdict that lets a client in with the variables of a rule."""
        variables = () if rule is None else rule.variables
        text = b"".join(one.encode(errors="surrogateescape") + b"\0" for one in variables)
        text += _NO_VARIABLES
        if text not in self._offsets:
            self._offsets[text] = len(self.content)
            self.content += text
        return self._offsets[text] + 1


def compile_table(rules: RuleSet) -> bytes:
    """Return the table. Raises UsageError if it would be too large."""
    table = _compile(rules)
    if rules.proxies is not None:
        offset = _aligned(len(table))
        proxies = _compile(RuleSet(rules.proxies, is_closed=True))
        table = _compile(rules, offset).ljust(offset, b"\0") + proxies
    if len(table) > HALF_SIZE:
        raise UsageError(
            f"the rules about clients take {len(table)} bytes, and there is room for {HALF_SIZE}; "
            "join prefixes that are next to each other"
        )
    return table


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _compile(rules: RuleSet, proxies: int = 0) -> bytes:
    texts = _Texts(rules.refusal)
    wanted = _verdicts(rules, texts)
    everybody = wanted.pop(Everybody(), DENIED if rules.is_closed else texts.verdict(None))
    ranges = {family: _ranges(wanted, family, everybody) for family in _BITS}
    everybody = wanted.pop(UnixClients(), everybody)
    users = _by_number(wanted, UserId)
    groups = _by_number(wanted, GroupId)
    counts = (*map(len, (*ranges.values(), users, groups)), everybody)
    content = bytes(texts.content).ljust(_aligned(len(texts.content)), b"\0")
    sizes = (len(content), len(rules.refusal))
    return b"".join(
        (
            HEADER.pack(*counts, *sizes, proxies, rules.header_ms if proxies else 0),
            content,
            *(IPV4.pack(*one) for one in ranges[socket.AF_INET]),
            *(
                IPV6.pack(first.to_bytes(16, "big"), verdict)
                for first, verdict in ranges[socket.AF_INET6]
            ),
            *(IDS.pack(*one) for one in (*users, *groups)),
        )
    )


def _verdicts(rules: RuleSet, texts: _Texts) -> dict[object, int]:
    verdicts: dict[object, int] = {rule.whom: texts.verdict(rule) for rule in rules.allow}
    return verdicts | {rule.whom: DENIED for rule in rules.deny}


def _by_number(
    wanted: dict[object, int], kind: type[UserId] | type[GroupId]
) -> list[tuple[int, int]]:
    return sorted((one.number, verdict) for one, verdict in wanted.items() if isinstance(one, kind))


def _ranges(wanted: dict[object, int], family: int, everybody: int) -> list[tuple[int, int]]:
    """Return the first address and the verdict of each range, in order, of the whole family."""
    rules = [one for one in wanted if isinstance(one, AddressRange) and one.family == family]
    rules.sort(key=lambda one: (one.first, one.length))
    last = (1 << _BITS[family]) - 1
    found: list[tuple[int, int]] = []
    around = [(last, everybody)]  # each with the end of its range, the innermost last

    def begin(first: int, verdict: int) -> None:
        if found and found[-1][0] == first:
            found.pop()
        if not found or found[-1][1] != verdict:
            found.append((first, verdict))

    def leave(before: int) -> None:
        while around[-1][0] < before:
            end, _ = around.pop()
            begin(end + 1, around[-1][1])

    begin(0, everybody)
    for rule in rules:
        leave(rule.first)
        around.append((rule.last, wanted[rule]))
        begin(rule.first, wanted[rule])
    while len(around) > 1:
        end, _ = around.pop()
        if end < last:
            begin(end + 1, around[-1][1])
    return found


@dataclass(frozen=True, slots=True)
class _Parts:
    """Where everything is in a table, with sizes that have been checked."""

    ipv4: bytes | memoryview
    ipv6: bytes | memoryview
    users: bytes | memoryview
    groups: bytes | memoryview
    texts: bytes
    everybody: int
    refusal: bytes
    proxies: int
    header_ms: int


def _parts(table: bytes | memoryview) -> _Parts:
    """Return the parts of a table. Raises struct.error or IndexError if it is none."""
    header = HEADER.unpack_from(table)
    ipv4, ipv6, users, groups, everybody, texts_size, refusal_size, proxies, header_ms = header
    sizes = (texts_size, ipv4 * IPV4.size, ipv6 * IPV6.size, users * IDS.size, groups * IDS.size)
    begins = [HEADER.size]
    for size in sizes:
        begins.append(begins[-1] + size)
    if (
        texts_size % _ALIGNMENT
        or begins[-1] > len(table)
        or refusal_size > min(texts_size, MOST_REFUSAL_BYTES)
    ):
        raise IndexError
    texts, in_ipv4, in_ipv6, of_users, of_groups = (
        table[begin:end] for begin, end in pairwise(begins)
    )
    return _Parts(
        in_ipv4,
        in_ipv6,
        of_users,
        of_groups,
        bytes(texts),
        everybody,
        bytes(texts[:refusal_size]),
        proxies,
        header_ms,
    )


def meet(table: bytes | memoryview, who: Peer) -> Verdict:
    """Return what a table says of who has connected: a client, or a proxy that is to say more."""
    try:
        parts = _parts(table)
        if not parts.proxies:
            return _decide(parts, who)
        is_proxy = _is_proxy(table, parts.proxies, who)
    except (struct.error, IndexError, ValueError):
        return Verdict(is_granted=False, variables={})
    return Verdict(is_proxy, {}, parts.refusal, NO_PROXY, parts.header_ms)


def decide(table: bytes | memoryview, client: Peer) -> Verdict:
    """Return what a table says of a client. Whatever is wrong in it is a refusal."""
    try:
        return _decide(_parts(table), client)
    except (struct.error, IndexError, ValueError):
        return Verdict(is_granted=False, variables={})


def _is_proxy(table: bytes | memoryview, offset: int, who: Peer) -> bool:
    if offset % _ALIGNMENT or offset > len(table):
        return False
    try:
        return _find(_parts(table[offset:]), who) != DENIED
    except (struct.error, IndexError):
        return False


def _decide(parts: _Parts, client: Peer) -> Verdict:
    verdict = _find(parts, client)
    if verdict == DENIED:
        return Verdict(is_granted=False, variables={}, refusal=parts.refusal)
    variables = _variables(parts.texts, verdict - 1)
    return Verdict(is_granted=True, variables=variables, refusal=parts.refusal)


def _find(parts: _Parts, client: Peer) -> int:
    if client.family == socket.AF_INET:
        return _last_before(IPV4, parts.ipv4, int.from_bytes(client.address[:4], "big"))
    if client.family == socket.AF_INET6:
        return _last_before(IPV6, parts.ipv6, client.address[:16])
    if client.family == socket.AF_UNIX:
        groups: dict[int, int] = dict(IDS.iter_unpack(parts.groups))
        users: dict[int, int] = dict(IDS.iter_unpack(parts.users))
        return users.get(client.uid, groups.get(client.gid, parts.everybody))
    return DENIED


def _last_before(form: struct.Struct, entries: bytes | memoryview, key: int | bytes) -> int:
    """Return the verdict of the last range that begins at a key or before it."""
    low, high = 0, len(entries) // form.size
    while low < high:
        middle = (low + high) // 2
        if form.unpack_from(entries, middle * form.size)[0] <= key:
            low = middle + 1
        else:
            high = middle
    return int(form.unpack_from(entries, (low - 1) * form.size)[1]) if low else DENIED


def _variables(texts: bytes, offset: int) -> dict[str, str]:
    end = texts.index(b"\0\0", offset) if texts[offset] else offset
    words = [word.decode(errors="surrogateescape") for word in texts[offset:end].split(b"\0")]
    return dict(word.split("=", 1) for word in words if word)
