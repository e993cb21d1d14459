"""From values to who may come in to a service, and the table of that.

Owns what the other settings of a service mean for rules about clients. Must not know how rules are
weighed, nor when they come into force.
"""

import math

from socketd.admission.rules import gather
from socketd.admission.table import RuleSet, compile_table
from socketd.config.services import ServiceSettings
from socketd.dataclass import dataclass, replace
from socketd.errors import UsageError
from socketd.programs.environment import CONNECTION_VARIABLES
from socketd.settings.admission import ANY_RATE, Admission, Rate
from socketd.settings.readiness import ReadyLevel
from socketd.settings.values import Problem, Values

_UNIT_NS = {"s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}
_BEFORE_MAIN = (ReadyLevel.FORK, ReadyLevel.LOAD)


@dataclass(frozen=True, slots=True)
class Access:
    """Rules about clients, and the table that is made of them."""

    rules: RuleSet
    table: bytes


def admission_in(values: Values, settings: ServiceSettings, problems: list[Problem]) -> Admission:
    """Return who may come in to a service that is otherwise set up; add what is wrong with it."""
    admission = Admission(
        allow=values.names("allow") or (),
        deny=values.names("deny") or (),
        allow_file=values.text("allow_file"),
        deny_file=values.text("deny_file"),
        has_list=any(map(values.has, ("allow", "allow_file", "sensor"))),
        refusal=values.text("refusal_text") or "",
        source_limit=values.number("source_limit") or 0,
        ipv4_bits=_bits(values.number("source_prefix_ipv4"), 32),
        ipv6_bits=_bits(values.number("source_prefix_ipv6"), 64),
        rate=_rate(values, "rate"),
        source_rate=_rate(values, "source_rate"),
        longest_seconds=values.limit_seconds("over_rate") or 0.0,
        queue_seconds=_queue_seconds(values),
        proxies=values.names("proxy_protocol"),
        header_seconds=values.seconds("head_timeout"),
        sensor_seconds=values.limit_seconds("sensor"),
    )
    if admission.refusal and admission.is_open:
        why = (
            "needs {allow}, {deny}, {source_limit}, {rate}, {source_rate}, {when_full}, "
            "{sensor} or {proxy_protocol}: everybody may come in"
        )
        problems.append(Problem("refusal_text", why))
    if not (admission.rate or admission.source_rate) and values.has("over_rate"):
        problems.append(
            Problem("over_rate", "needs {rate} or {source_rate}: nobody comes too often")
        )
    if not (admission.source_limit or admission.source_rate):
        why = "needs {source_limit} or {source_rate}: sources are not counted"
        prefixes = ("source_prefix_ipv4", "source_prefix_ipv6")
        problems.extend(Problem(key, why) for key in prefixes if values.has(key))
    try:
        access_to(replace(settings, admission=admission))
    except UsageError as error:
        reason = str(error)
        files = {"allow_file": admission.allow_file, "deny_file": admission.deny_file}
        of_files = [key for key, path in files.items() if path and reason.startswith(path)]
        key = next(iter(of_files), _key_of_rules(admission))
        problems.append(Problem(key, reason))
    return admission


def _key_of_rules(admission: Admission) -> str:
    """Return the setting that is named with what is wrong with all rules together."""
    if admission.proxies and not (admission.allow or admission.deny):
        return "proxy_protocol"
    return "allow" if admission.allow else "deny"


def access_to(settings: ServiceSettings) -> Access:
    """Return who may come in. Raises UsageError for rules that cannot be used."""
    taken = {*settings.environment, *CONNECTION_VARIABLES}
    rules = gather(settings.admission, _why_no_variables(settings), taken)
    return Access(rules, compile_table(rules))


def _why_no_variables(settings: ServiceSettings) -> str:
    if settings.front is not None:
        return "a CGI program has all of its variables from its request"
    level = settings.readiness.level
    if level not in _BEFORE_MAIN:
        return f"a program that is started ahead as far as {level.value} may have read them before"
    return ""


def _rate(values: Values, key: str) -> Rate:
    """Return how often somebody may come, in whole nanoseconds: never more often than was set."""
    given = values.get(key)
    if given is None:
        return ANY_RATE
    assert isinstance(given, tuple)
    count, unit, at_once = given
    interval_ns = -(-_UNIT_NS[unit] // count)
    return Rate(interval_ns, interval_ns * at_once)


def _queue_seconds(values: Values) -> float | None:
    seconds = values.limit_seconds("when_full")
    return None if seconds == math.inf else seconds


def _bits(given: int | None, usual: int) -> int:
    return usual if given is None else given
