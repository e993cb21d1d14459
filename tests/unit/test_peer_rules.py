"""Rules about clients: what a text means, and which of several rules decides."""

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketd.admission.rules import gather, read_rules
from socketd.admission.table import HALF_SIZE, RuleSet, Verdict, compile_table, decide
from socketd.errors import UsageError
from socketd.programs.peer import Peer
from socketd.settings.admission import Admission
from socketd.settings.peerrule import AddressRange, Everybody, PeerRule, UserId, parse_rule


def peer(host: str) -> Peer:
    """Return a client at an address."""
    address = ipaddress.ip_address(host)
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    return Peer(family, address.packed, 5000)


def rules(allow: str = "", deny: str = "", *, refusal: bytes = b"") -> RuleSet:
    """Return rules of texts with commas between them; a list closes for all others."""
    allowing, denying = (
        tuple(map(parse_rule, filter(None, text.split(",")))) for text in (allow, deny)
    )
    return RuleSet(allowing, denying, is_closed=bool(allow), refusal=refusal)


def granted(some: RuleSet, client: Peer) -> bool:
    """Tell whether a client may come in."""
    return decide(compile_table(some), client).is_granted


@pytest.mark.parametrize(
    ("text", "whom"),
    [
        ("192.0.2.0/24", AddressRange(socket.AF_INET, 0xC0000200, 24)),
        ("192.0.2.7", AddressRange(socket.AF_INET, 0xC0000207, 32)),
        ("::ffff:192.0.2.0/120", AddressRange(socket.AF_INET, 0xC0000200, 24)),
        ("2001:db8::/32", AddressRange(socket.AF_INET6, 0x20010DB8 << 96, 32)),
        ("::/0", AddressRange(socket.AF_INET6, 0, 0)),
        ("uid:0", UserId(0)),
        ("uid:root", UserId(0)),
        ("all", Everybody()),
    ],
)
def test_text_names_who_is_meant(text: str, whom: object) -> None:
    """Addresses, users, everybody; a mapped address is the IPv4 address."""
    assert parse_rule(text).whom == whom


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "it is empty"),
        ("192.0.2.7/24", "give 192.0.2.0/24 or the address alone"),
        ("192.0.2.0/33", "give 0 to 32"),
        ("192.0.2.0/", "no length behind its slash"),
        ("192.0.2.0/+8", "no length behind its slash"),
        ("192.0.2", "is not an address"),
        ("example.org", "is not an address"),
        ("fe80::1%eth0", "is not an address"),
        ("uid:", "unknown user ''"),
        ("uid:no-such-user", "unknown user 'no-such-user'"),
        ("gid:4294967295", "unknown group"),
        ("192.0.2.7 TENANT", "'TENANT' is no variable"),
        ("192.0.2.7 =a", "'=a' is no variable"),
        ("all " + " ".join(f"V{n}=1" for n in range(17)), "more than 16 variables"),
        ("all V=" + "x" * 2048, "2048 bytes"),
    ],
)
def test_text_that_is_no_rule_says_what_to_give(text: str, complaint: str) -> None:
    """One line: what is wrong, and what would be right."""
    with pytest.raises(UsageError, match=complaint.replace("(", r"\(")):
        parse_rule(text)


def test_longest_prefix_decides_and_deny_between_two_alike() -> None:
    """In whatever order they stand."""
    some = rules("10.0.0.0/8,10.1.2.3,192.0.2.0/24", "10.1.0.0/16,192.0.2.0/24")

    assert granted(some, peer("10.2.0.1"))
    assert not granted(some, peer("10.1.0.1"))
    assert granted(some, peer("10.1.2.3"))
    assert not granted(some, peer("10.1.2.4"))
    assert not granted(some, peer("192.0.2.9"))


def test_list_of_who_may_come_in_is_for_everybody() -> None:
    """Who is not in it is denied, on whatever socket; without one everybody else may."""
    assert not granted(rules("10.0.0.0/8"), Peer(socket.AF_UNIX, uid=0))
    assert not granted(rules("10.0.0.0/8"), peer("2001:db8::1"))
    assert granted(rules(deny="10.0.0.0/8"), Peer(socket.AF_UNIX, uid=0))
    assert granted(rules(deny="::/0"), peer("10.0.0.1"))
    assert not granted(RuleSet(is_closed=True), peer("10.0.0.1"))
    assert not granted(rules("all", "all"), peer("10.0.0.1"))


def test_user_is_more_than_group_and_group_more_than_everybody() -> None:
    """By what the kernel says of a client on a UNIX socket."""
    some = rules("gid:100,uid:7", "all,uid:8")

    assert granted(some, Peer(socket.AF_UNIX, uid=7, gid=5))
    assert granted(some, Peer(socket.AF_UNIX, uid=6, gid=100))
    assert not granted(some, Peer(socket.AF_UNIX, uid=8, gid=100))
    assert not granted(some, Peer(socket.AF_UNIX, uid=6, gid=5))


def test_client_of_whom_nothing_is_known_is_nobody() -> None:
    """It matches no rule, not even that for everybody: it was reset before it was looked at."""
    assert not granted(rules("all"), Peer())


def test_verdict_has_the_variables_of_the_rule_or_the_text() -> None:
    """Those of the rule that decides, and of no other."""
    some = rules("10.0.0.0/8 A=1 B=x=y,10.1.0.0/16,192.0.2.1 A=1 B=x=y", refusal=b"no\r\n")
    table = compile_table(some)

    assert decide(table, peer("10.9.9.9")).variables == {"A": "1", "B": "x=y"}
    assert decide(table, peer("192.0.2.1")).variables == {"A": "1", "B": "x=y"}
    assert decide(table, peer("10.1.0.1")).variables == {}
    assert decide(table, peer("192.0.2.2")) == Verdict(False, {}, b"no\r\n")


def test_rules_without_end_are_refused() -> None:
    """There is room for a hundred thousand prefixes, and the number is said."""
    many = tuple(
        PeerRule(AddressRange(socket.AF_INET6, number << 64, 64)) for number in range(1, 220000, 2)
    )

    with pytest.raises(UsageError, match=f"there is room for {HALF_SIZE}"):
        compile_table(RuleSet(deny=many))


def _networks(family: int) -> st.SearchStrategy[tuple[int, int]]:
    bits = 32 if family == socket.AF_INET else 128
    near = st.integers(0, 7).map(lambda top: top << (bits - 3))
    return st.tuples(near, st.integers(0, 3)) | st.tuples(
        st.integers(0, 2**bits - 1), st.integers(0, bits)
    )


@st.composite
def _rule_sets(draw: st.DrawFn) -> RuleSet:
    lists = []
    for _ in range(2):
        found: list[PeerRule] = []
        for family, bits in ((socket.AF_INET, 32), (socket.AF_INET6, 128)):
            for first, length in draw(st.lists(_networks(family), max_size=8)):
                whole = first >> (bits - length) << (bits - length)
                found.append(PeerRule(AddressRange(family, whole, length), (f"N={len(found)}",)))
        if draw(st.booleans()):
            found.append(PeerRule(Everybody()))
        lists.append(tuple(found))
    return RuleSet(lists[0], lists[1], is_closed=draw(st.booleans()))


def _by_the_book(some: RuleSet, family: int, address: int) -> PeerRule | bool:
    """Return the rule that lets in, by looking at each; True or False if none is for the client."""

    def length_of(rule: PeerRule) -> int | None:
        if isinstance(rule.whom, Everybody):
            return -1
        assert isinstance(rule.whom, AddressRange)
        is_meant = rule.whom.family == family and rule.whom.first <= address <= rule.whom.last
        return rule.whom.length if is_meant else None

    allowing = [(length, rule) for rule in some.allow if (length := length_of(rule)) is not None]
    denying = [length for rule in some.deny if (length := length_of(rule)) is not None]
    if not allowing and not denying:
        return not some.is_closed
    best = max((length for length, _ in allowing), default=-2)
    if max(denying, default=-2) >= best:
        return False
    return next(rule for length, rule in reversed(allowing) if length == best)


@given(_rule_sets(), st.data())
def test_table_says_what_each_rule_by_itself_would(some: RuleSet, data: st.DataObject) -> None:
    """For addresses at the edges of rules and anywhere."""
    table = compile_table(some)
    for family, bits in ((socket.AF_INET, 32), (socket.AF_INET6, 128)):
        edges = {0, 2**bits - 1}
        for rule in (*some.allow, *some.deny):
            if isinstance(rule.whom, AddressRange) and rule.whom.family == family:
                edges |= {rule.whom.first - 1, rule.whom.first, rule.whom.last, rule.whom.last + 1}
        edges.add(data.draw(st.integers(0, 2**bits - 1)))
        for address in edges:
            if not 0 <= address < 2**bits:
                continue
            expected = _by_the_book(some, family, address)
            found = decide(table, Peer(family, address.to_bytes(bits // 8, "big")))
            assert found.is_granted == bool(expected)
            if isinstance(expected, PeerRule):
                variables = dict(text.split("=", 1) for text in expected.variables)
                assert found.variables == variables


@given(st.binary(max_size=400), st.sampled_from(["10.0.0.1", "2001:db8::1"]))
def test_whatever_stands_there_is_an_answer(content: bytes, host: str) -> None:
    """Others may write to the table: it is a verdict, and never an error."""
    for client in (peer(host), Peer(socket.AF_UNIX, uid=1)):
        decide(content, client)


def test_file_has_a_rule_a_line(tmp_path: object) -> None:
    """Comments and empty lines are left out; a wrong line is named with its number."""
    path = f"{tmp_path}/rules"
    with open(path, "w") as file:
        file.write("# ours\n\n10.0.0.0/8  TENANT=a # the office\n\t192.0.2.1#x\n")

    with pytest.raises(UsageError, match=r"rules: line 4: '192.0.2.1#x' is not an address"):
        read_rules(path)
    with open(path, "w") as file:
        file.write("# ours\n\n10.0.0.0/8  TENANT=a # the office\n")
    assert read_rules(path) == (parse_rule("10.0.0.0/8 TENANT=a"),)


@pytest.mark.parametrize("path", ["/no/such/file", "/dev/null", "/proc"])
def test_file_that_is_none_says_so(path: str) -> None:
    """What is not there, a device, a folder."""
    with pytest.raises(UsageError, match=path):
        gather(Admission(allow_file=path), "", ())


def test_rule_sets_no_variable_that_is_the_programs_already() -> None:
    """Which of two a program sees is chance; and some programs can get none."""
    admission = Admission(allow=("all PATH=/",), has_list=True)

    with pytest.raises(UsageError, match="PATH, which the program has anyway"):
        gather(admission, "", ("PATH",))
    with pytest.raises(UsageError, match="a rule sets variables, and it is too late"):
        gather(admission, "it is too late", ())
