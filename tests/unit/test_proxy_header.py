"""The header of the PROXY protocol: what one says, and what is none."""

import pytest

from harness import proxyheaders
from harness.proxyheaders import RIGHT, WRONG, hostile
from socketd.admission.proxy_header import MOST_BYTES, Header, Verdict, checksum, parse

_BEHIND = b"PROXY and what the program reads"


@pytest.mark.parametrize("name", RIGHT)
def test_header_ends_where_it_says_and_is_whole_no_sooner(name: str) -> None:
    """Each of its beginnings wants more, and what is behind it does not count."""
    content = RIGHT[name]

    header = parse(content + _BEHIND)
    assert isinstance(header, Header)
    assert header.size == len(content)
    assert parse(content) == header
    for count in range(min(len(content), 600)):
        assert parse(content[:count]) is Verdict.MORE


@pytest.mark.parametrize("name", WRONG)
def test_anything_else_is_none(name: str) -> None:
    """And stays none, whatever comes behind."""
    assert parse(WRONG[name]) is Verdict.WRONG
    assert parse(WRONG[name] + _BEHIND) is Verdict.WRONG


@pytest.mark.parametrize(
    ("name", "source", "destination"),
    [
        ("line", "192.0.2.1:1234", "198.51.100.2:443"),
        ("line6", "[2001:db8::1]:1234", "[2001:db8::2]:443"),
        ("mapped", "192.0.2.1:1", "198.51.100.2:2"),
        ("tcp4", "192.0.2.1:1234", "198.51.100.2:443"),
        ("tcp6", "[2001:db8::1]:1234", "[2001:db8::2]:443"),
        ("tcp6_mapped", "192.0.2.1:1234", "[2001:db8::2]:443"),
    ],
)
def test_ends_of_the_connection_are_those_of_the_header(
    name: str, source: str, destination: str
) -> None:
    """An IPv4 address that is mapped into IPv6 is the IPv4 address, which rules are about."""
    header = parse(RIGHT[name])

    assert isinstance(header, Header)
    assert (str(header.source), str(header.destination)) == (source, destination)


@pytest.mark.parametrize(
    "name", ["unknown", "unknown_long", "local", "local_long", "nobody", "nobody_long", "unix"]
)
def test_header_about_nobody_names_no_end(name: str) -> None:
    """Its length is honoured, and nothing else of it is believed."""
    header = parse(RIGHT[name])

    assert header == Header(len(RIGHT[name]), None, None, {})


@pytest.mark.parametrize(
    ("name", "variables"),
    [
        (
            "values",
            {
                "SSL_TLS_SNI_SERVERNAME": "www.example.org",
                "UNIQUE_ID": "id-1",
                "SSL_PROTOCOL": "TLSv1.3",
                "SSL_CIPHER": "TLS_AES",
                "SSL_PEER_CERT_CN": "Jörg",
            },
        ),
        ("unverified", {}),
        ("no_certificate", {}),
        ("no_tls", {}),
        ("control", {}),
        ("long_value", {}),
        ("empty_value", {}),
        ("twice", {"UNIQUE_ID": "first"}),
        ("sum", {"UNIQUE_ID": "id-1"}),
        ("unix_values", {"UNIQUE_ID": "a"}),
    ],
)
def test_values_become_variables(name: str, variables: dict[str, str]) -> None:
    """As far as somebody has vouched for them, and they can be passed on whole."""
    header = parse(RIGHT[name])

    assert isinstance(header, Header)
    assert header.variables == variables


def test_checksum_is_crc32c() -> None:
    """The value that RFC 3720 has for 32 zeros, and the usual one for nine digits."""
    assert checksum(bytes(32)) == 0x8A9136AA
    assert checksum(b"123456789") == 0xE3069283


def test_largest_header_is_as_large_as_the_bound() -> None:
    """One byte more is not read at all."""
    assert len(RIGHT["largest"]) == MOST_BYTES
    assert parse(proxyheaders.block(length=MOST_BYTES - 15)) is Verdict.WRONG


def test_every_beginning_of_a_hostile_header_says_the_same() -> None:
    """What is wrong is wrong at once or later, and never right again."""
    for content in hostile(500, seed=2):
        before: object = Verdict.MORE
        for count in range(min(len(content), 300) + 1):
            now = parse(content[:count])
            assert before is Verdict.MORE or now == before
            before = now
