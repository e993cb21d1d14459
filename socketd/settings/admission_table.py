"""The rows of the table of settings that are about clients: who may come in.

Owns those rows. Must not know what a setting does. Client mode pays for every import; see kinds.py.
"""

from socketd.settings.compound import Frequency, Line, Patience, PeerRules, Proxies
from socketd.settings.kinds import Count, Duration, Path
from socketd.settings.setting import Setting

MOST_OF_A_SOURCE = 32768  # workers that there may be

ADMISSION_SETTINGS = (
    Setting(
        "allow",
        PeerRules(),
        "clients that may come in, and no others; variables for their program may follow each, as "
        "in '192.0.2.7 TENANT=a'",
        metavar="RULE[,RULE]",
        usual="everybody",
    ),
    Setting(
        "deny",
        PeerRules(),
        "clients that may not come in; the longest prefix decides, and deny where two are alike",
        metavar="RULE[,RULE]",
        usual="nobody",
    ),
    Setting(
        "allow_file",
        Path("the absolute path of a file"),
        "file with more rules of {allow}, one a line, that is read again when it changes",
        metavar="FILE",
    ),
    Setting(
        "deny_file",
        Path("the absolute path of a file"),
        "file with more rules of {deny}, one a line, that is read again when it changes",
        metavar="FILE",
    ),
    Setting(
        "source_limit",
        Count(1, MOST_OF_A_SOURCE),
        "most connections at once for each source of a listener: an address, a prefix, or a user",
        metavar="N",
        usual="any number",
    ),
    Setting(
        "source_prefix_ipv4",
        Count(1, 32),
        "number of bits at the beginning of an IPv4 address that are a source",
        metavar="BITS",
        usual="32",
    ),
    Setting(
        "source_prefix_ipv6",
        Count(1, 128),
        "number of bits at the beginning of an IPv6 address that are a source",
        metavar="BITS",
        usual="64",
    ),
    Setting(
        "when_full",
        Patience("queue", may_be_endless=True),
        "what becomes of a client that connects while {workers.max} are served: it waits in the "
        "queue, is sent away, or is sent away when it has waited for a time",
        metavar="WHAT",
        usual="queue",
    ),
    Setting(
        "rate",
        Frequency(),
        "how often clients may connect to a listener, and how many of them at once",
        metavar="RATE",
        usual="as often as they like",
    ),
    Setting(
        "source_rate",
        Frequency(),
        "how often those of one source may connect to a listener, and how many of them at once",
        metavar="RATE",
        usual="as often as they like",
    ),
    Setting(
        "over_rate",
        Patience("wait"),
        "what becomes of a client that connects too often: it is sent away, or waits for its turn "
        "if that comes within a time",
        metavar="WHAT",
        usual="refuse",
    ),
    Setting(
        "sensor",
        Duration(),
        "keep every client out of all services for this time that connects here and is not let in "
        "by {allow}; nobody else is served here",
        metavar="TIME",
        usual="off",
    ),
    Setting(
        "proxy_protocol",
        Proxies(),
        "proxies that may connect, and nobody else; each says by the PROXY protocol, version 1 or "
        "2, for which client",
        metavar="PROXY[,PROXY]",
        usual="off",
    ),
    Setting(
        "refusal_text",
        Line(),
        "what a client hears that may not come in, before its connection is closed",
        metavar="TEXT",
        usual="nothing",
    ),
)
