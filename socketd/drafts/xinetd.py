"""From the entries of xinetd.conf(5) to services of ours.

Owns what each attribute is here. Must not know the grammar of the file.
"""

from socketd.drafts.draft import Draft
from socketd.drafts.origin import (
    NO_MUX,
    NO_RPC,
    NOT_TCP,
    WAITS,
    address_of,
    clients_in,
    take_internal,
    take_program,
)
from socketd.drafts.xinetd_file import Entry, Parser

HEAD = (
    "A program has all groups of its user here, and its children outlive it as they did there.",
    "hosts.allow and hosts.deny are not looked at: docs/access.md says what their rules are here.",
    "log_type and log_on_... are gone: the log has who came, for how long, and what came of it.",
)
_DEFAULTS = frozenset(
    "bind interface per_source umask only_from no_access passenv instances banner banner_success "
    "banner_fail groups cps max_load".split()
)
_ACCUMULATED = frozenset({"only_from", "no_access", "passenv", "env"})
_NEEDLESS = frozenset(
    "id type flags disable socket_type protocol wait user group instances nice server server_args "
    "only_from no_access port redirect bind interface per_source cps groups umask env deny_time "
    "log_type log_on_success log_on_failure rpc_version rpc_number mdns libwrap disabled enabled "
    "rlimit_as rlimit_files rlimit_cpu rlimit_data rlimit_rss rlimit_stack".split()
)
_WHY_NOT = {
    "access_times": "there are no hours of the day here; a timer may call `socketd drain` and "
    "`resume`",
    "max_load": "the load does not matter here; workers.max bounds the work",
    "banner": "nothing is sent before the output of the program",
    "banner_success": "nothing is sent before the output of the program",
    "banner_fail": "refusal_text has a text itself in place of its file",
    "passenv": "the program has all of the server's environment",
}
_FLAGS_WITHOUT_TRACE = frozenset({"REUSE", "NORETRY", "NOLIBWRAP", "NAMEINARGS", "IPv4", "IPv6",
                                  "NODELAY", "KEEPALIVE", "SENSOR", "DISABLE"})  # fmt: skip
_WHY_NO_FLAG = {
    "IDONLY": "nobody is asked for the name of a user",
    "INTERCEPT": "allow and deny are looked at for each connection anyway",
    "LABELED": "the program keeps the context of the server",
}
_LIMITS = {"as": "as", "files": "nofile", "cpu": "cpu", "data": "data", "rss": "rss",
           "stack": "stack"}  # fmt: skip
_UNITS = {"K": 2**10, "M": 2**20}
_MOST_WORKERS = 32767  # one less than there may be, for the one that sends clients away
_MOST_RATE = 10_000
_MOST_SOURCES = 32768
_MOST_DIGITS = 18
_LONGEST_MINUTES = 365 * 24 * 60


def services_in(parser: Parser) -> list[Draft]:
    """Return the services of what was read."""
    known = parser.defaults
    enabled = known.attributes.get("enabled")
    drafts = []
    for entry in parser.services:
        _complete(entry, known)
        draft = _service(entry)
        names = {entry.word("id") or entry.name}
        is_left_out = names & set(known.words("disabled"))
        draft.is_off |= bool(is_left_out) or (enabled is not None and not names & set(enabled))
        drafts.append(draft)
    return drafts


def _complete(entry: Entry, defaults: Entry) -> None:
    """Give an entry the defaults that it does not have, and those to which it adds."""
    for name in _DEFAULTS:
        if name not in defaults.attributes:
            continue
        usual = defaults.words(name)
        if name not in entry.attributes:
            entry.attributes[name] = usual
        elif name in _ACCUMULATED and name in entry.is_added:
            gone = entry.removed.get(name, [])
            kept = [one for one in usual if one not in gone]
            entry.attributes[name] = kept + entry.words(name)


def _service(entry: Entry) -> Draft:
    draft = Draft(entry.word("id") or entry.name)
    flags, kinds = set(entry.words("flags")), set(entry.words("type"))
    draft.is_off = entry.word("disable") == "yes" or "DISABLE" in flags
    why_not = _why_not(entry, kinds)
    if why_not:
        draft.refuse(why_not)
        return draft
    _take_address(draft, entry, flags)
    _take_work(draft, entry, flags, kinds)
    if not draft.listen:
        return draft
    for take in (_take_identity, _take_numbers, _take_clients, _take_rate, _take_limits):
        take(draft, entry)
    draft.settings["keep_children"] = True
    for name in entry.attributes:
        if name in _WHY_NOT:
            draft.remark(f"{name} = {entry.word(name)}", _WHY_NOT[name])
        elif name not in _NEEDLESS:
            draft.remark(f"{name} = {entry.word(name)}", "this attribute is not known")
    for flag in sorted(flags - _FLAGS_WITHOUT_TRACE):
        draft.remark(f"flag {flag}", _WHY_NO_FLAG.get(flag, "this flag is not known"))
    return draft


def _why_not(entry: Entry, kinds: set[str]) -> str:
    """Return why a service cannot be served here, nothing if it can."""
    if "RPC" in kinds or "rpc_version" in entry.attributes:
        return NO_RPC
    if kinds & {"TCPMUX", "TCPMUXPLUS"} or entry.name == "tcpmux":
        return NO_MUX
    if entry.word("socket_type") not in ("stream", "") or entry.word("protocol") not in ("tcp", ""):
        return NOT_TCP
    return WAITS if entry.word("wait") == "yes" else ""


def _take_address(draft: Draft, entry: Entry, flags: set[str]) -> None:
    host = entry.word("bind") or entry.word("interface")
    if not host and "IPv6" not in flags:
        host = "0.0.0.0"
    address = address_of(host, entry.word("port") or entry.name)
    options: dict[str, object] = {}
    if "NODELAY" in flags:
        options["nodelay"] = True
    if "KEEPALIVE" in flags:
        options["keepalive"] = "2h"  # after which the kernel asks by default
    draft.listen.append({"address": address, **options} if options else address)


def _take_work(draft: Draft, entry: Entry, flags: set[str], kinds: set[str]) -> None:
    """Give a service its program, or what does the same as xinetd did itself."""
    redirect = entry.words("redirect")
    if "SENSOR" in flags:
        _take_sensor(draft, entry)
    elif redirect:
        if len(redirect) != 2:
            draft.refuse(f"redirect = {' '.join(redirect)} is not a host and a port")
            return
        draft.settings["program"] = ["socket", "-N", *redirect]
    elif "INTERNAL" in kinds:
        take_internal(draft, entry.name)
    elif not entry.word("server"):
        draft.refuse("no server says what to run")
    else:
        words = entry.word("server_args").split()
        take_program(draft, entry.word("server"), words, has_name="NAMEINARGS" in flags)


def _take_sensor(draft: Draft, entry: Entry) -> None:
    minutes = entry.word("deny_time")
    if minutes == "NEVER":
        draft.refuse("a sensor here keeps out whoever connects; deny_time = NEVER only logged it")
        return
    number = _LONGEST_MINUTES if minutes == "FOREVER" else _number(minutes, 1, _LONGEST_MINUTES)
    if number is None:
        draft.refuse(f"a sensor needs a number of minutes, and deny_time is {minutes!r}")
        return
    draft.settings["program"] = ["/bin/false"]
    draft.settings["sensor"] = f"{number}m"


def _take_identity(draft: Draft, entry: Entry) -> None:
    user, group = entry.word("user"), entry.word("group")
    if user:
        draft.settings["user"] = user
    if group:
        draft.settings["groups"] = [group]
        if entry.word("groups") == "yes":
            draft.remark("groups = yes", "groups has to name the user's other groups, too")
    elif entry.word("groups") == "no":
        draft.remark("groups = no", "the program has all groups of its user, unless groups is set")
    umask = entry.word("umask")
    if umask:
        is_octal = umask.isascii() and umask.isdecimal() and not set(umask) & set("89")
        if is_octal and int(umask[:_MOST_DIGITS], 8) <= 0o777:
            draft.settings["umask"] = f"{int(umask, 8):04o}"
        else:
            draft.remark(f"umask = {umask}", "it is no octal number up to 777")
    _take_variables(draft, entry)


def _take_variables(draft: Draft, entry: Entry) -> None:
    variables = {}
    for word in entry.words("env"):
        name, sign, value = word.partition("=")
        if name and sign:
            variables[name] = value
        else:
            draft.remark(f"env = {word}", "it is not NAME=VALUE")
    if variables:
        draft.settings["environment"] = variables


def _take_numbers(draft: Draft, entry: Entry) -> None:
    for name, key, lowest, highest in (
        ("instances", "workers.max", 1, _MOST_WORKERS),
        ("per_source", "source_limit", 1, _MOST_SOURCES),
        ("nice", "nice", -20, 19),
    ):
        text = entry.word(name)
        number = _number(text, lowest, highest)
        if number is not None:
            draft.settings[key] = number
        elif text == "UNLIMITED" and name == "instances":
            draft.remark(f"{name} = {text}", "workers.max is 256 unless it says more")
        elif text and text != "UNLIMITED":
            draft.remark(f"{name} = {text}", f"it is no number from {lowest} to {highest}")
    if "workers.max" in draft.settings:
        draft.settings["when_full"] = "refuse"


def _take_clients(draft: Draft, entry: Entry) -> None:
    for name, key in (("only_from", "allow"), ("no_access", "deny")):
        if name not in entry.attributes:
            continue
        rules, others = clients_in(entry.words(name))
        # Without a rule nobody may come in, as there.
        if rules or key == "allow":
            draft.settings[key] = rules
        for word in others:
            draft.remark(f"{name} = {word}", f"{key} takes addresses and prefixes, no names")


def _take_rate(draft: Draft, entry: Entry) -> None:
    words = entry.words("cps")
    if not words:
        return
    number = _number(words[0], 1, _MOST_RATE)
    if number is None:
        draft.remark(f"cps = {' '.join(words)}", f"it is no number from 1 to {_MOST_RATE}")
        return
    draft.settings["rate"] = f"{number}/s"
    draft.about["rate"] = (
        f"cps = {' '.join(words)}: who comes too often is sent away; nobody else waits for that"
    )


def _take_limits(draft: Draft, entry: Entry) -> None:
    limits: dict[str, object] = {}
    for theirs, ours in _LIMITS.items():
        text = entry.word(f"rlimit_{theirs}")
        if not text:
            continue
        unit = _UNITS.get(text[-1:].upper(), 1)
        number = _number(text[:-1] if unit > 1 else text, 0, 2**40)
        if text == "UNLIMITED":
            limits[ours] = "unlimited"
        elif number is None:
            draft.remark(f"rlimit_{theirs} = {text}", "it is no number of this size")
        else:
            limits[ours] = number * unit
    if limits:
        draft.settings["limits"] = limits


def _number(text: str, lowest: int, highest: int) -> int | None:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > _MOST_DIGITS:
        return None
    return int(text) if lowest <= int(text) <= highest else None
