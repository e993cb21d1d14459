"""The report on the CGI part: its targets and its tables, against fcgiwrap.

Must not measure anything.
"""

from collections import Counter
from collections.abc import Callable

from bench.cgi import AT_ONCE, BACKENDS, CGI_PROGRAMS
from bench.cgi_transfers import MEASUREMENT as TRANSFER_MEASUREMENT
from bench.cgi_transfers import TRANSFERS
from bench.results import Cell, Results, Summary
from bench.tables import Target, ms, section, span

BASELINE = "fcgiwrap"
TITLES = {one.key: one.title for one in BACKENDS} | {"nginx": "nginx", "wrk": "wrk"}
_RATE, _P50, _WALL = "per_second", "p50_us", "wall_us"


def _against_baseline(program: str, own: str, value: str) -> Callable[[Results], Summary | None]:
    cell = Cell("cgi", program, AT_ONCE)
    return lambda results: results.ratio(cell, own, value, BASELINE)


def _target(program: str, own: str, value: str, limit: float) -> Target:
    what = "requests per second" if value == _RATE else "p50"
    title = f"CGI, {CGI_PROGRAMS[program].title}, {TITLES[own]}, {what}, to fcgiwrap's"
    return Target(title, limit, _against_baseline(program, own, value), is_least=value == _RATE)


def _transfer_target(transfer: str, own: str, limit: float) -> Target:
    title = f"CGI, {TRANSFERS[transfer].title}, {TITLES[own]}, time, to fcgiwrap's"
    cell = Cell(TRANSFER_MEASUREMENT, transfer, 1)
    return Target(title, limit, lambda results: results.ratio(cell, own, _WALL, BASELINE))


TARGETS = (
    _target("c", "front-load", _RATE, 1.6),
    _target("c", "front-load", _P50, 0.65),
    _target("c", "fcgi-load", _RATE, 2.4),
    _target("c", "scripts-scgi", _RATE, 2.2),
    _target("c", "scripts-fcgi", _RATE, 2.2),
    _target("c", "line-scgi2cgi", _RATE, 0.9),
    _target("c", "line-fcgi2cgi", _RATE, 1.5),
    _target("sh", "front-load", _RATE, 1.3),
    _target("sh", "fcgi-load", _RATE, 2),
    _target("python", "front-stop", _RATE, 10),
    _target("python", "fcgi-stop", _RATE, 10),
    _target("flask", "front-stop", _RATE, 25),
    _target("flask", "fcgi-stop", _RATE, 25),
    *(
        _transfer_target(transfer, own, limit)
        for transfer, limit in (("git", 0.8), ("up", 1), ("down", 1))
        for own in ("front-load", "fcgi-load")
    ),
)


def sections(results: Results) -> list[str]:
    """Return a table for each program, and one for what is moved."""
    tables = [_table(results, cell) for cell in results.cells("cgi")]
    return [*tables, _transfers(results)] if results.cells(TRANSFER_MEASUREMENT) else tables


def _transfers(results: Results) -> str:
    rows = []
    for cell in results.cells(TRANSFER_MEASUREMENT):
        for one in BACKENDS:
            found = results.summary(cell, one.key, _WALL)
            if found is not None:
                ratio = span(results.ratio(cell, one.key, _WALL, BASELINE), "{:.2f}")
                rows.append([TRANSFERS[cell.program].title, one.title, ms(found), ratio])
    title = "CGI behind nginx: what one client moves"
    return section(title, ["what", "backend", "time, ms", "ratio"], rows)


def notes(results: Results) -> list[str]:
    """Return what a reader must know to judge the numbers of those that were measured."""
    measured = {record.server for record in results.records if record.measurement == "cgi"}
    return [f"- {one.title}: {one.note}." for one in BACKENDS if one.note and one.key in measured]


def _table(results: Results, cell: Cell) -> str:
    rows = []
    for one in BACKENDS:
        rate = results.summary(cell, one.key, _RATE)
        if rate is None:
            continue
        errors = Counter(results.errors(cell, one.key))
        rows.append(
            [
                one.title,
                span(rate, "{:.0f}"),
                span(results.ratio(cell, one.key, _RATE, BASELINE), "{:.2f}"),
                ms(results.summary(cell, one.key, _P50)),
                span(results.ratio(cell, one.key, _P50, BASELINE), "{:.2f}"),
                ms(results.summary(cell, one.key, "p99_us")),
                ", ".join(f"{count} {name}" for name, count in errors.items()) or "0",
            ]
        )
    title = f"CGI behind nginx: {CGI_PROGRAMS[cell.program].title}, {cell.level} requests at once"
    times = ["p50, ms", "p50 ratio", "p99, ms"]
    return section(title, ["backend", "requests/s", "ratio", *times, "errors"], rows)
