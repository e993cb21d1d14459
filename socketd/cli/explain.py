"""`socketd explain`, `socketd check --explain`: the levels of --ready that a program can be had at.

Owns the way from the command line to what is printed. Must not know how a level is looked at.
"""

import os
from collections.abc import Callable, Sequence

from socketd.cli.console import STDERR_FD, WIPE, answer_signals, write
from socketd.cli.descriptors import settle_descriptors
from socketd.cli.explanation import as_json, as_line, as_text
from socketd.cli.given import refuse
from socketd.config.build import Builder, Surroundings
from socketd.config.fronts import why_no_front
from socketd.config.services import ServiceSettings
from socketd.dataclass import dataclass, replace
from socketd.errors import ConfigurationError, SocketdError, UsageError, describe_errno
from socketd.explain.findings import Choice
from socketd.explain.requests import errand_to
from socketd.explain.survey import Subject, choice_of, explain
from socketd.programs.cgi import FrontKind
from socketd.programs.cgi_start import prepared
from socketd.programs.command import Program, ShellUse, locate, resolve
from socketd.settings.readiness import AUTO_LEVEL, ReadyLevel
from socketd.settings.values import Values


@dataclass(frozen=True, slots=True)
class ExplainOptions:
    """The command line; no `levels` are all but stop."""

    words: tuple[str, ...]
    levels: tuple[str, ...]
    send: str | None
    input_path: str | None
    connections: int
    is_json: bool
    values: Values


def explained(options: ExplainOptions) -> str:
    """Start the program at each level and return what is to be printed. Raises SocketdError."""
    settle_descriptors()
    answer_signals()
    content = _content(options)
    found = _program(options.words)
    builder = Builder(options.values, Surroundings(dict(os.environ)), found)
    settings = builder.service("explain")
    refuse(builder.problems)
    kind = options.values.member("front", FrontKind, FrontKind.NONE)
    subject = _subject(settings, found, kind)
    levels = tuple(map(ReadyLevel, dict.fromkeys(options.levels))) or _usual_levels(subject)
    announce, forget = _progress()
    try:
        errand = errand_to(kind, content)
        explanation = explain(subject, levels, errand, options.connections, announce)
    finally:
        forget()
    show = as_json if options.is_json else as_text
    return show(explanation, replace(settings, program=found))


def _subject(settings: ServiceSettings, found: Program, kind: FrontKind) -> Subject:
    """Return what is looked at, with what a front has to say against a level."""
    if kind is FrontKind.NONE:
        return Subject(settings)
    reasons = {
        level: why_no_front(kind, level, settings.worker, has_root=False) for level in ReadyLevel
    }
    impossible = {level: reason for level, reason in reasons.items() if reason is not None}
    script = None if ReadyLevel.STOP in impossible else prepared(found)
    if script is None:
        return Subject(settings, impossible)
    readiness = replace(settings.readiness, level=ReadyLevel.STOP, is_auto=False)
    return Subject(settings, impossible, replace(settings, program=script, readiness=readiness))


def _usual_levels(subject: Subject) -> tuple[ReadyLevel, ...]:
    """Return all levels but stop, where a program that never stops itself would be waited for."""
    is_stopping = subject.prepared is not None
    return tuple(one for one in ReadyLevel if one is not ReadyLevel.STOP or is_stopping)


def _progress() -> tuple[Callable[[ReadyLevel], None], Callable[[], None]]:
    """Return what tells the level that is looked at, on a terminal, and what wipes that away."""
    if not os.isatty(STDERR_FD):
        return lambda _: None, lambda: None
    return lambda level: write(f"{WIPE}looking at {level.value} ..."), lambda: write(WIPE)


def _program(words: tuple[str, ...]) -> Program:
    """Return what to start: one word is a command as `socket -p` takes it. Raises ProgramError."""
    environment = dict(os.environ)
    if len(words) == 1:
        return resolve(words[0], ShellUse.AUTO, environment)
    return locate(words, environment)


def explain_services(
    path: str, services: Sequence[ServiceSettings], tell: Callable[[str], object]
) -> None:
    """Start the program of each service of a file, and tell the level that it gets.

    No connection is made. Raises ConfigurationError if a service would not start.
    """
    settle_descriptors()
    answer_signals()
    mistakes = []
    for settings in {one.name: one for one in services}.values():
        place = f"service.{settings.name}"
        try:
            choice = choice_of(settings)
            if choice.reason is None:
                choice = Choice(choice.level, _why_front_has_fork(settings))
            tell(f"{place}: {as_line(choice, settings.readiness)}")
        except SocketdError as error:
            mistakes.append(f"{place}: {error}")
    if mistakes:
        raise ConfigurationError(path, mistakes)


def _why_front_has_fork(settings: ServiceSettings) -> str | None:
    """Return why a front rules out what `auto` would take, None if none does."""
    front, readiness = settings.front, settings.readiness
    if front is None or readiness.level is not ReadyLevel.FORK or not readiness.is_auto:
        return None
    has_root = front.folders is not None
    return why_no_front(FrontKind.SCGI, AUTO_LEVEL, settings.worker, has_root=has_root)


def _content(options: ExplainOptions) -> bytes:
    """Return what a client sends. Raises UsageError."""
    if options.send is not None:
        if options.input_path is not None:
            raise UsageError("--send: --input says already what is sent: give only one of the two")
        return os.fsencode(options.send) + b"\n"
    if options.input_path is None:
        return b""
    try:
        with open(options.input_path, "rb") as file:
            return file.read()
    except OSError as error:
        why = describe_errno(error.errno or 0)
        raise UsageError(f"--input: cannot read {options.input_path!r}: {why}") from error
