"""How an explanation of a program looks: for people, and as JSON with stable names.

Owns the words. Must not know how anything was found out.
"""

import json
import shlex
from collections.abc import Iterator, Sequence

from socketd.config.services import ServiceSettings
from socketd.explain.findings import Choice, Explanation, Finding
from socketd.explain.sharing import Access, SharedFile, State
from socketd.settings.duration import format_duration
from socketd.settings.readiness import Readiness, ReadyLevel

_FORMAT = 1  # grows when a name of the JSON changes its meaning or goes
_KIB_OF_A_MIB = 1024
_STATES = {
    ReadyLevel.FORK: "not started ahead",
    ReadyLevel.LOAD: "held before main()",
    ReadyLevel.READ: "held at its first read",
    ReadyLevel.STOP: "held where it stops itself",
    ReadyLevel.RELAY: "started once for each worker",
}
_ACCESS = {
    Access.OWN: "each copy reads it on its own",
    Access.WRITE: "open for writing",
    Access.APPEND: "open for appending",
    Access.SHARED: "one for all",
}


def as_text(explanation: Explanation, settings: ServiceSettings) -> str:
    """Return a table for people, and what has to be said below it."""
    rows = [("level", "first byte", "memory", "state"), *map(_row, explanation.findings)]
    parts = [shlex.join(settings.program.arguments), "", *_aligned(rows), ""]
    parts += [_taken("auto", explanation.auto)]
    if explanation.cgi is not None:
        parts += [_taken("socketd cgi", explanation.cgi)]
    parts += [""]
    parts += _sharing_lines(explanation, settings)
    parts += _notes(explanation)
    return "\n".join(parts).rstrip("\n")


def _taken(who: str, choice: Choice) -> str:
    why = "" if choice.reason is None else f": {choice.reason}"
    return f"{who} takes {choice.level.value}{why}"


def as_line(choice: Choice, wanted: Readiness) -> str:
    """Return the level that a service gets, and why it is not the wanted one."""
    told = f"{choice.level.value}: {_STATES[choice.level]}"
    if choice.reason is None:
        return told
    if choice.level is wanted.level:
        return f"{told}: {choice.reason}"
    return f"{told}, since it is not held at {wanted.level.value}: {choice.reason}"


def as_json(explanation: Explanation, settings: ServiceSettings) -> str:
    """Return the same as one JSON object."""
    told = {
        "format": _FORMAT,
        "command": list(settings.program.arguments),
        "program": settings.program.path,
        "auto": explanation.auto.level.value,
        "auto_reason": explanation.auto.reason,
        "cgi": None if explanation.cgi is None else explanation.cgi.level.value,
        "cgi_reason": None if explanation.cgi is None else explanation.cgi.reason,
        "levels": [_object(explanation, one, settings) for one in explanation.findings],
    }
    return json.dumps(told, indent=2)


def _object(
    explanation: Explanation, finding: Finding, settings: ServiceSettings
) -> dict[str, object]:
    """Return everything about a level; null is "not known", or that there is none."""
    sharing = finding.sharing
    return {
        "level": finding.level.value,
        "works": finding.reason is None,
        "reason": finding.reason,
        "first_byte_ms": _milliseconds(finding.first_byte_seconds),
        "end_ms": _milliseconds(finding.end_seconds),
        "connections": len(finding.visits),
        "answer_bytes": finding.visits[0].answer_bytes if finding.visits else None,
        "same_answer": (not explanation.has_another_answer(finding) if finding.visits else None),
        "statuses": list(finding.statuses),
        "private_kib": finding.private_kib,
        "shares": None
        if sharing is None
        else {
            "files": [
                {
                    "fd": one.fd,
                    "target": one.target,
                    "access": one.access.value,
                    "locked": one.is_locked,
                }
                for one in sharing.files
            ],
            "more_files": sharing.has_more_files,
            "random_state": sharing.random_state.value,
            "address_layout": sharing.address_layout.value,
            "stack_canary": "own" if sharing.canary_reason is None else "shared",
            "canary_reason": sharing.canary_reason,
            "time_limits": "none",
            "renew_after_s": settings.readiness.renew_seconds if finding.level.is_held else None,
        },
    }


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def _row(finding: Finding) -> tuple[str, str, str, str]:
    state = _STATES[finding.level]
    if finding.reason is not None:
        state = f"{_refusal(finding)}: {finding.reason}"
    return finding.level.value, _time(finding), _memory(finding), state


def _refusal(finding: Finding) -> str:
    if finding.is_impossible:
        return "not possible"
    return "not held" if finding.level.is_held else "fails"


def _time(finding: Finding) -> str:
    if finding.first_byte_seconds is not None:
        return f"{finding.first_byte_seconds * 1000:.2f} ms"
    if finding.is_silent and finding.end_seconds is not None:
        return f"({finding.end_seconds * 1000:.2f} ms)"
    return "none" if finding.visits else "-"


def _memory(finding: Finding) -> str:
    kib = finding.private_kib
    if kib is None:
        return "-" if finding.sharing is None else "?"
    return f"{kib} KiB" if kib < _KIB_OF_A_MIB else f"{kib / _KIB_OF_A_MIB:.1f} MiB"


def _aligned(rows: Sequence[tuple[str, str, str, str]]) -> Iterator[str]:
    """Yield the lines of a table; numbers stand to the right, the last column is open."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for level, *numbers, state in rows:
        cells = [level.ljust(widths[0])]
        cells += [one.rjust(width) for one, width in zip(numbers, widths[1:-1], strict=True)]
        yield "  ".join([*cells, state]).rstrip()


def _sharing_lines(explanation: Explanation, settings: ServiceSettings) -> Iterator[str]:
    lines = [
        f"{one.level.value.ljust(5)}  {_shared(one)}"
        for one in explanation.findings
        if one.sharing is not None and one.level.is_held and one.reason is None
    ]
    if lines:
        renewed = format_duration(settings.readiness.renew_seconds)
        yield f"Copies share, until a new template is started after {renewed}:"
        yield from lines
        yield ""


def _shared(finding: Finding) -> str:
    sharing = finding.sharing
    assert sharing is not None
    things = ["the address layout"]
    if sharing.canary_reason is not None:
        things.append(f"the stack canary ({sharing.canary_reason})")
    if sharing.random_state is State.SHARED:
        things.append("the state of random numbers, if it has drawn any before")
    things += map(_file, sharing.files)
    if sharing.has_more_files:
        things.append("more files")
    return "; ".join([*things, "no time limit"])


def _file(file: SharedFile) -> str:
    lock = ", locked" if file.is_locked else ""
    return f"{file.target} (descriptor {file.fd}, {_ACCESS[file.access]}{lock})"


def _notes(explanation: Explanation) -> Iterator[str]:
    """Yield what the table cannot say."""
    findings = explanation.findings
    if any(one.is_silent for one in findings):
        yield "(): no byte came, this is the time to the end of the connection"
    if any(one.sharing is not None and one.private_kib is None for one in findings):
        yield "?: the system does not let us read the memory of a worker that waits"
    hung = [one.level.value for one in findings if one.has_hung]
    if hung:
        yield f"A connection did not end in time at {', '.join(hung)}"
    others = [one.level.value for one in findings if explanation.has_another_answer(one)]
    if others:
        yield (
            f"Not every answer was the same ({', '.join(others)}); right for a program whose "
            "answers differ each time"
        )
