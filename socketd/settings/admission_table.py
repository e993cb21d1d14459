"""The rows of the table of settings that are about clients: who may come in.

Owns those rows. Must not know what a setting does. Client mode pays for every import; see kinds.py.
"""

from socketd.settings.compound import Line, PeerRules
from socketd.settings.kinds import Path
from socketd.settings.setting import Setting

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
        "refusal_text",
        Line(),
        "what a client hears that may not come in, before its connection is closed",
        metavar="TEXT",
        usual="nothing",
    ),
)
