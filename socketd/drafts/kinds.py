"""The kinds of services that a new file may have, and what each begins with.

Owns which settings a kind has, which it offers as comments, and what is said of them. Must not know
who answers, nor where the file goes.
"""

import enum

from socketd.dataclass import dataclass
from socketd.drafts.draft import Draft


class Kind(enum.Enum):
    """What somebody wants to serve; the texts are for people."""

    PROGRAM = "program"
    INETD = "inetd"
    CGI_FOLDER = "cgi-folder"
    CGI_PROGRAM = "cgi-program"

    @property
    def meaning(self) -> str:
        """Return what it is, in a line."""
        return _MEANINGS[self]

    @property
    def is_cgi(self) -> bool:
        """Tell whether a web server is the client."""
        return self in (Kind.CGI_FOLDER, Kind.CGI_PROGRAM)


_MEANINGS = {
    Kind.PROGRAM: "any program that reads stdin and writes stdout",
    Kind.INETD: "a program that was written for inetd or xinetd",
    Kind.CGI_FOLDER: "a folder of CGI programs, for a web server",
    Kind.CGI_PROGRAM: "one CGI program as an SCGI or FastCGI daemon",
}
DEFAULT_PROTOCOL = "fcgi"


@dataclass(frozen=True, slots=True)
class Answers:
    """What was answered. `what` is the program, or the folder of CGI programs."""

    kind: Kind
    name: str
    listen: str
    what: str
    protocol: str = DEFAULT_PROTOCOL
    user: str = ""
    group: str = ""
    most: int | None = None


HEAD = (
    "A file for `socketd run`; `socketd check` finds mistakes, `socketd show` prints all settings.",
    "docs/configuration.md says what each of them means.",
    "What stands behind a # is an example, and not in force.",
)


def service_of(answers: Answers) -> Draft:
    """Return the service that was asked for."""
    draft = Draft(answers.name)
    _take_address(draft, answers)
    if answers.kind.is_cgi:
        _take_front(draft, answers)
    else:
        _take_program(draft, answers)
    _take_user(draft, answers)
    _offer_rules(draft, answers)
    _offer_numbers(draft, answers)
    return draft


def _take_address(draft: Draft, answers: Answers) -> None:
    draft.about["listen"] = (
        "Where to listen: tcp:HOST:PORT, tcp:PORT for all addresses, unix:/PATH, or a list of them."
    )
    address: object = answers.listen
    if answers.group:
        address = {"address": answers.listen, "group": answers.group}
        draft.about["listen"] += " The group may connect, beside the socket's owner."
    draft.listen.append(address)


def _take_program(draft: Draft, answers: Answers) -> None:
    draft.about["program"] = (
        "What is run for each connection, with the connection as its stdin and stdout."
    )
    draft.settings["program"] = answers.what
    if answers.kind is Kind.INETD:
        draft.about["keep_children"] = (
            "What the program leaves behind lives on, as under inetd; without this it is ended."
        )
        draft.settings["keep_children"] = True
    else:
        draft.about["ready"] = (
            "How far the program is started before a client comes: `socketd explain PROGRAM` says "
            "what it bears."
        )
        draft.examples["ready"] = "read"


def _take_front(draft: Draft, answers: Answers) -> None:
    draft.about["front"] = "The protocol by which the web server passes requests: scgi or fcgi."
    draft.settings["front"] = answers.protocol
    if answers.kind is Kind.CGI_FOLDER:
        draft.about["root"] = "The path of a request names a program below this folder."
        draft.settings["root"] = answers.what
        draft.about["index"] = "What is run for a path that ends with a slash."
        draft.examples["index"] = "index.cgi"
    else:
        draft.about["program"] = "The program of every request."
        draft.settings["program"] = answers.what
        draft.about["ready"] = (
            "How far it is started before its request: `socketd explain` says what it bears."
        )
        draft.examples["ready"] = "load"
    draft.about["body_limit"] = "The largest body of a request; a larger one is answered with 413."
    draft.examples["body_limit"] = "100M"
    draft.about["answer_timeout"] = "A program that says nothing for so long is answered for: 504."
    draft.examples["answer_timeout"] = "60s"


def _take_user(draft: Draft, answers: Answers) -> None:
    draft.about["user"] = "Who the program runs as; only root can choose."
    if answers.user:
        draft.settings["user"] = answers.user
    else:
        draft.examples["user"] = "nobody"
    draft.about["environment"] = "Variables of the program, beside those of its connection."
    draft.examples["environment"] = {"LANG": "C.UTF-8"}


def _offer_rules(draft: Draft, answers: Answers) -> None:
    if answers.listen.startswith("tcp:"):
        draft.about["allow"] = "Who may come in, and nobody else; docs/access.md."
        draft.examples["allow"] = ["127.0.0.1", "192.0.2.0/24"]
        draft.about["source_limit"] = "The most connections at once of one address."
        draft.examples["source_limit"] = 16


def _offer_numbers(draft: Draft, answers: Answers) -> None:
    draft.about["workers.min"] = "So many wait for clients, whatever the load; docs/strategies.md."
    draft.examples["workers.min"] = 4
    draft.about["workers.max"] = "The most connections at once; others wait for their turn."
    if answers.most is None:
        draft.examples["workers.max"] = 256
    else:
        draft.settings["workers.max"] = answers.most
    draft.about["timeouts.connection"] = "A connection that takes longer is ended."
    draft.examples["timeouts.connection"] = "1h"
    draft.about["timeouts.drain"] = "How long a stop waits for connections."
    draft.examples["timeouts.drain"] = "30s"
