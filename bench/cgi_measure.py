"""One round of the CGI part: every backend with every program that it is measured with.

Owns the order and what is written down. Must not know a backend by name, nor how one is run.
"""

from collections.abc import Callable

from bench.cgi import AT_ONCE, BACKENDS, CGI_PROGRAMS, Backend, Tools, find
from bench.launch import BenchError
from bench.results import Record
from bench.web import NEEDED, load, serving_all

MEASUREMENT = "cgi"


def missing_commands() -> dict[str, str]:
    """Return what keeps the whole part from being measured: packages by command."""
    return {name: package for name, package in NEEDED.items() if find(name) is None}


def installed(only: tuple[str, ...]) -> tuple[list[Backend], dict[str, str]]:
    """Return the backends that can be run, and the packages of the others by their titles."""
    chosen = [one for one in BACKENDS if not only or one.key in only]
    there = [one for one in chosen if not one.requires or find(one.requires)]
    return there, {one.title: one.package for one in chosen if one not in there}


def measure_round(
    number: int,
    backends: list[Backend],
    programs: tuple[str, ...],
    tools: Tools,
    seconds: int,
    say: Callable[[str], None],
) -> list[Record]:
    """Measure each backend once with each program, another one first in each round."""
    records = []
    for key in programs:
        if not CGI_PROGRAMS[key].is_possible():
            say(f"{CGI_PROGRAMS[key].title} is not measured: it is not installed")
            continue
        chosen = [one for one in backends if key in one.programs]
        turn = number % max(1, len(chosen))
        say(f"round {number + 1}: {MEASUREMENT} {key} {AT_ONCE}")
        records += _measure(number, chosen[turn:] + chosen[:turn], key, tools, seconds, say)
    return records


def _measure(
    number: int,
    backends: list[Backend],
    key: str,
    tools: Tools,
    seconds: int,
    say: Callable[[str], None],
) -> list[Record]:
    records = []
    with serving_all(backends, CGI_PROGRAMS[key], tools) as web:
        for one in backends:
            cell = (MEASUREMENT, key, AT_ONCE, AT_ONCE, one.key, number)
            try:
                if one.key in web.failures:
                    raise BenchError(web.failures[one.key])
                found = load(web, one.key, seconds)
            except BenchError as error:
                say(f"{one.key}: {error}")
                records.append(Record(*cell, {}, {}, failure=str(error)))
                continue
            values = {
                "per_second": found.per_second,
                "p50_us": found.p50_us,
                "p99_us": found.p99_us,
            }
            records.append(Record(*cell, values, found.errors))
    return records
