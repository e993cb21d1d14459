"""What the text of a script says that copies of its interpreter would have wrong.

Owns the table of interpreters: which of them have their environment from their start, remember
their process id, or draw random numbers from a state that nobody else can renew. Must not know
where the text is from, nor what follows.

An interpreter that is held before there is a connection gets the variables of the connection
afterwards. Some have copied their environment before and never look again. This is seen from
outside only in the text, so a mere mention counts; a script that puts the name together from parts,
or is in a file that the command does not name, is not seen.
"""

import re
from collections.abc import Sequence

from socketd.dataclass import dataclass, replace
from socketd.settings.readiness import ReadyLevel

_OF_CONNECTION = (
    r"PROTO|REMOTE_(?:ADDR|HOST|PORT)|SERVER_(?:ADDR|PORT)|TCP(?:LOCAL|REMOTE)(?:IP|PORT)"
    r"|IPC(?:REMOTE(?:EUID|EGID|PID|PATH)|LOCALPATH)"
)
_OF_REQUEST = (
    r"|AUTH_TYPE|CONTENT_(?:LENGTH|TYPE)|DOCUMENT_(?:ROOT|URI)|GATEWAY_INTERFACE|HTTPS|HTTP_\w+"
    r"|PATH_(?:INFO|TRANSLATED)|QUERY_STRING|REMOTE_(?:IDENT|USER)|REQUEST_(?:METHOD|SCHEME|URI)"
    r"|SCGI|SCRIPT_(?:FILENAME|NAME)|SERVER_(?:NAME|PROTOCOL|SOFTWARE)"
)
_COMMENT = re.compile(r"^[ \t]*#.*$", re.MULTILINE)
_STOPS_ITSELF = re.compile(r"\bkill\s+-(?:s\s*)?(?:SIG)?(?:STOP|19)\s+\$\$")


@dataclass(frozen=True, slots=True)
class _Interpreter:
    """What is late, or shared, in copies of one kind of interpreter.

    Each is a pattern, in which NAME stands for a variable that is not there yet. `copied` is how
    a script looks into what is there since the start. `shared` is what all copies have alike. The
    copies of some have the variables once they are held: at `reads` or, at that level, at `stops`;
    what comes before in the text is no sign for a script that `defers`, having code run in copies.
    Where one of the texts `renews`, its copies copy the environment again once they have stopped.
    """

    name: str
    copied: str = ""
    shared: str = ""
    reads: str = ""
    stops: str = ""
    defers: str = ""
    renews: str = ""


_NAME = r"\b(?:NAME)\b"
# A key of a table that is certainly another one; within the text of a shell with a backslash.
_OTHER_KEY = r"""\s*\\?['"](?!(?:NAME)\b)\w+\\?['"]\s*"""
_OTHER_WORD = r"""\s*(?!(?:NAME)\b)\w+\s*"""

_AWK_COPIED = rf"\bENVIRON\b(?!\s*\[{_OTHER_KEY}\])"

_INTERPRETERS = (
    _Interpreter("dash|ash", copied=_NAME, shared=r"\$\$|\$\{\$"),
    _Interpreter("ksh|mksh|lksh|posh|yash|zsh", copied=_NAME, shared=r"\$\$|\$\{\$|\$\{?RANDOM\b"),
    _Interpreter("busybox|toybox", copied=rf"{_NAME}|\bENVIRON\b", shared=r"\$\$|\$\{\$"),
    _Interpreter("pypy", copied=_NAME),
    # mawk seeds itself at its start; the others draw the same numbers in each run, unless told to.
    _Interpreter("mawk", copied=_AWK_COPIED, shared=r"\bs?rand\b"),
    _Interpreter("g?awk|original-awk", copied=_AWK_COPIED, shared=r"\bsrand\b"),
    _Interpreter("lua|luajit", shared=r"\bmath\.random\w*|\brandomseed\b"),
    _Interpreter("sort", shared=r"^-[\w.,]*R|^--random-sort$|^--sort=random$"),
    _Interpreter(
        "perl",
        copied=rf"[$%@]\{{?ENV\b(?!\s*\{{(?:{_OTHER_KEY}|{_OTHER_WORD})\}})|\buse Env\b",
        renews=r"^-MSocketdHold$|^[ \t]*use SocketdHold\b",
    ),
    _Interpreter(
        "php",
        copied=rf"\$_(?:ENV|SERVER)\b(?!\s*\[{_OTHER_KEY}\])|\bINPUT_(?:ENV|SERVER)\b",
        shared=r"\blcg_value\b",
    ),
    _Interpreter(
        "bash|rbash", reads=r"\b(?:read|mapfile|readarray|select)\b", stops=r"\b(?:SIG)?STOP\b"
    ),
    _Interpreter("python", reads=r"\bstdin\b|\binput\(|\bread\(0\b", defers=r"\bafter_fork\b"),
)
_VERSION = r"[-.\d]*"


def is_known(interpreter: str) -> bool:
    """Tell whether the name of an executable is that of an interpreter of the table."""
    return _kind_of(interpreter) is not None


def find_fault(
    interpreter: str, texts: Sequence[str], level: ReadyLevel, *, has_front: bool = False
) -> str | None:
    """Return what copies of an interpreter would have wrong, None if nothing is seen.

    `interpreter` is the name of the executable that runs. `texts` are what it may run, each by
    itself.
    """
    kind = _kind_of(interpreter)
    if kind is None:
        return None
    names = _OF_CONNECTION + _OF_REQUEST if has_front else _OF_CONNECTION
    bare = [_COMMENT.sub("", text) for text in texts]
    if level is ReadyLevel.STOP and _is_renewed(kind, bare):
        kind = replace(kind, copied="")
    for text in bare:
        if fault := _fault_in(text, kind, names, level):
            return fault
    return None


def _kind_of(interpreter: str) -> _Interpreter | None:
    return next(
        (kind for kind in _INTERPRETERS if re.fullmatch(f"(?:{kind.name}){_VERSION}", interpreter)),
        None,
    )


def _is_renewed(kind: _Interpreter, texts: Sequence[str]) -> bool:
    """Tell whether one of the texts has an interpreter copy its environment again."""
    return bool(kind.renews) and any(re.search(kind.renews, text, re.MULTILINE) for text in texts)


def _fault_in(text: str, kind: _Interpreter, names: str, level: ReadyLevel) -> str | None:
    if kind.copied and (found := re.search(kind.copied.replace("NAME", names), text)):
        return f"its script names {found[0]}, which it has read at its start"
    if kind.shared:
        if level is ReadyLevel.STOP:
            text = _STOPS_ITSELF.sub("", text)
        if found := re.search(kind.shared, text):
            word = "$$" if found[0] == "${$" else found[0]
            return f"its script names {word}, which its copies would share"
    mended = kind.stops if level is ReadyLevel.STOP else kind.reads
    if mended and not (kind.defers and re.search(kind.defers, text)):
        before = re.split(mended, text, maxsplit=1)[0]
        if found := re.search(rf"\b(?:{names})\b", before):
            return f"its script names {found[0]} before it reads"
    return None
