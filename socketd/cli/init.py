"""`socketd init`: a new configuration file from options and answers.

Owns which questions are asked, their defaults, and what is said at the end. Must not know what
stands in the file.
"""

import os
import re
import shlex
from collections.abc import Callable

from socketd.cli.check import check
from socketd.cli.invocation import command
from socketd.cli.new_file import check_new, write_new
from socketd.cli.place import typed_place
from socketd.cli.questions import ask, may_ask
from socketd.dataclass import dataclass
from socketd.drafts.draft import document
from socketd.drafts.kinds import DEFAULT_PROTOCOL, HEAD, Answers, Kind, service_of
from socketd.drafts.unit import unit_of
from socketd.errors import ConfigurationError, SystemFailureError, UsageError
from socketd.settings.address import place_of
from socketd.system.accounts import find_group, find_user
from socketd.system.directory import absolute

_VALID_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
_GROUPS_OF_WEB_SERVERS = ("www-data", "nginx", "apache", "http")
_USUAL_PORTS = {Kind.PROGRAM: "7000", Kind.INETD: "7000"}
_USUAL_CGI_PORTS = {"scgi": "4000", "fcgi": "9000"}


@dataclass(frozen=True, slots=True)
class InitOptions:
    """The options; None for what was not given."""

    file: str
    kind: str | None = None
    name: str | None = None
    listen: str | None = None
    program: str | None = None
    root: str | None = None
    protocol: str | None = None
    user: str | None = None
    group: str | None = None
    most: int | None = None
    unit: str | None = None
    may_replace: bool = False
    takes_defaults: bool = False


def init(options: InitOptions) -> str:
    """Write the file, and the unit if one is wanted; return what to do next.

    Raises SocketdError; then there is no file with mistakes, and none was replaced unasked.
    """
    for path in (options.file, options.unit):
        if path is not None:
            check_new(path, may_replace=options.may_replace)
    answers = _answers(options, _Asker(may_ask() and not options.takes_defaults))
    text = document(HEAD, [service_of(answers)])

    def prove(path: str) -> None:
        try:
            check(path)
        except ConfigurationError as error:
            told = [line.removeprefix(f"{path}: ") for line in error.lines]
            raise ConfigurationError("cannot serve that, so nothing is written", told) from None

    write_new(options.file, text, may_replace=options.may_replace, prove=prove)
    if options.unit is not None:
        used = (answers.listen, answers.what)
        unit = unit_of(answers.name, command(), absolute(options.file), *used)
        write_new(options.unit, unit, may_replace=options.may_replace)
    return _next_steps(options, answers)


@dataclass(frozen=True, slots=True)
class _Asker:
    """Asks where somebody is there, and takes defaults elsewhere."""

    is_asking: bool

    def answer(
        self, given: str | None, question: str, usual: str, check: Callable[[str], str], option: str
    ) -> str:
        """Return what was given, or answered. Raises UsageError."""
        if given is not None:
            return check(given)
        if self.is_asking:
            return ask(question, usual, check)
        if not usual:
            raise UsageError(f"{option} is missing, and there is no terminal to ask at")
        return check(usual)

    def optional(
        self, given: str | None, question: str, usual: str, check: Callable[[str], str]
    ) -> str:
        """Return the same for what need not be; the answer "-" is for none."""

        def check_any(text: str) -> str:
            return "" if text in ("", "-") else check(text)

        return self.answer(given, f"{question} (- for none)", usual or "-", check_any, "")


def _answers(options: InitOptions, asker: _Asker) -> Answers:
    kind = _kind(options, asker)
    is_folder = kind is Kind.CGI_FOLDER
    what = asker.answer(
        options.root if is_folder else options.program,
        "Folder of the programs" if is_folder else "Program, with its arguments",
        "",
        absolute if is_folder else str,
        "--root FOLDER" if is_folder else "--program COMMAND",
    )
    name = asker.answer(options.name, "Name of the service", _usual_name(kind, what), _name, "")
    protocol = DEFAULT_PROTOCOL
    if kind.is_cgi:
        protocol = asker.answer(
            options.protocol, "Protocol of the web server, scgi or fcgi", protocol, _protocol, ""
        )
    is_root = os.geteuid() == 0
    usual = _usual_address(kind, name, protocol, is_root=is_root)
    listen = asker.answer(
        options.listen, "Address: HOST:PORT, PORT, or the path of a socket", usual, _address, ""
    )
    group, user = options.group or "", options.user or ""
    if is_root and kind.is_cgi and listen.startswith("unix:/"):
        group = asker.optional(options.group, "Group of the web server", _usual_group(), _group)
    if is_root:
        user = asker.optional(options.user, "User of the program", "nobody", _user)
    return Answers(kind, name, listen, what, protocol, user, group, options.most)


def _kind(options: InitOptions, asker: _Asker) -> Kind:
    """Return the kind that was given, that follows from other options, or that is answered."""
    if options.program is not None and options.root is not None:
        raise UsageError("give either --program COMMAND or --root FOLDER")
    given = options.kind
    if given is None and options.root is not None:
        given = Kind.CGI_FOLDER.value
    if given is None and options.program is not None and options.protocol is not None:
        given = Kind.CGI_PROGRAM.value
    if given is None and options.program is not None:
        given = Kind.PROGRAM.value
    lines = "".join(f"  {kind.value:<12} {kind.meaning}\n" for kind in Kind)
    answer = asker.answer(given, f"{lines}Kind of service", Kind.PROGRAM.value, _kind_word, "")
    kind = Kind(answer)
    if kind is not Kind.CGI_FOLDER and options.root is not None:
        raise UsageError(f"--root is for the kind {Kind.CGI_FOLDER.value}, not for {kind.value}")
    if kind is Kind.CGI_FOLDER and options.program is not None:
        raise UsageError(f"--program is not for the kind {kind.value}: give --root FOLDER")
    if not kind.is_cgi and options.protocol is not None:
        raise UsageError(f"--protocol is for CGI programs, not for the kind {kind.value}")
    return kind


def _kind_word(text: str) -> str:
    words = [kind.value for kind in Kind]
    if text not in words:
        raise UsageError(f"{text!r} is not one of {', '.join(words)}")
    return text


def _protocol(text: str) -> str:
    if text not in _USUAL_CGI_PORTS:
        raise UsageError(f"{text!r} is not one of {', '.join(_USUAL_CGI_PORTS)}")
    return text


def _name(text: str) -> str:
    if not _VALID_NAME.fullmatch(text):
        raise UsageError(f"{text!r} is not a name of up to 64 letters, digits and _ . @ -")
    return text


def _address(text: str) -> str:
    return place_of(typed_place(text))


def _user(text: str) -> str:
    find_user(text)
    return text


def _group(text: str) -> str:
    find_group(text)
    return text


def _usual_name(kind: Kind, what: str) -> str:
    """Return a name that is made of the program's, or of the kind."""
    first = what.split()[0] if what.split() else ""
    base = "cgi" if kind is Kind.CGI_FOLDER else os.path.basename(first).partition(".")[0]
    return base if _VALID_NAME.fullmatch(base) else "main"


def _usual_address(kind: Kind, name: str, protocol: str, *, is_root: bool) -> str:
    if kind.is_cgi:
        return f"/run/{name}.sock" if is_root else f"127.0.0.1:{_USUAL_CGI_PORTS[protocol]}"
    return f"127.0.0.1:{_USUAL_PORTS[kind]}"


def _usual_group() -> str:
    for group in _GROUPS_OF_WEB_SERVERS:
        try:
            return _group(group)
        except SystemFailureError:
            continue
    return ""


def _next_steps(options: InitOptions, answers: Answers) -> str:
    """Return what is there now, and the commands that come next."""
    file = shlex.quote(options.file)
    lines = [f"{options.file} is written and has no mistakes. Next:"]
    if options.unit is None:
        lines.append(f"    socketd run {file}")
        lines.append(f"    socketd status {file}")
    else:
        unit = shlex.quote(absolute(options.unit))
        lines.append(f"    systemd-analyze verify {unit}")
        lines.append(f"    systemctl daemon-reload && systemctl enable --now {unit}")
    place = answers.listen.removeprefix("tcp:").removeprefix("unix:")
    if answers.kind.is_cgi:
        lines.append(
            f"What the web server needs to pass requests to {place}: docs/cgi.md, contrib/."
        )
    else:
        host, _, port = place.rpartition(":") if answers.listen.startswith("tcp:") else ("", "", "")
        where = f"{host.strip('[]') or 'localhost'} {port}" if port else shlex.quote(place)
        lines.append(f"    echo hello | socket -N {where}")
    return "\n".join(lines)
