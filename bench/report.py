"""The report: tables in Markdown, made from the results and from nothing else.

Owns which tables there are and what counts as met. Must not measure anything.
"""

from collections import Counter
from collections.abc import Callable, Iterable

from bench import cgi_report
from bench.results import Cell, Results, Summary
from bench.servers import BASELINE, PROGRAMS, SERVERS
from bench.tables import Target, ms, section, span, table

BEGIN_MARK = "<!-- bench: begin, written by `python -m bench report` -->"
END_MARK = "<!-- bench: end -->"
_TITLES = {server.key: server.title for server in SERVERS} | cgi_report.TITLES
_OWN = "socketd-native"


def render(results: Results) -> str:
    """Return all tables that the results have numbers for."""
    parts = [_conditions(results), _targets(results)]
    parts += [_paced(results, cell) for cell in results.cells("paced")]
    parts.append(_throughput(results))
    bursts = dict.fromkeys(r.measurement for r in results.records if "burst" in r.measurement)
    parts += [_burst(results, cell) for name in bursts for cell in results.cells(name)]
    parts += [_memory(results), _master_cpu(results), _cold_start(results), _starts(results)]
    parts += [_volume(results), *cgi_report.sections(results)]
    parts += [_generator(results), _failures(results)]
    return "\n\n".join(part for part in parts if part)


def replace_in(path: str, text: str, begin_mark: str = BEGIN_MARK) -> None:
    """Put the text between the marks of a file; raise ValueError if it has none."""
    with open(path, encoding="utf-8") as file:
        before, begin, rest = file.read().partition(begin_mark)
    _, end, after = rest.partition(END_MARK)
    if not begin or not end:
        raise ValueError(f"cannot write the tables: {path!r} lacks the marks {begin_mark!r}")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{before}{begin}\n\n{text}\n\n{end}{after}")


def _against_baseline(
    cell: Cell, value: str, own: str = _OWN
) -> Callable[[Results], Summary | None]:
    return lambda results: results.ratio(cell, own, value, BASELINE)


def _own(measurement: str, level: int, value: str) -> Callable[[Results], Summary | None]:
    return lambda results: results.summary(Cell(measurement, "cat", level), _OWN, value)


_PACED = Cell("paced", "cat", 100)
_EXECUTED, _HELD, _RELAYING = "socketd-fork", "socketd-read", "socketd-relay"
TARGETS = (
    Target("turn-around of `cat`, p50, to tcpserver's", 0.5, _against_baseline(_PACED, "p50_us")),
    Target("turn-around of `cat`, p99, to tcpserver's", 0.7, _against_baseline(_PACED, "p99_us")),
    *(
        Target(
            f"connections per second, {level} at once, to tcpserver's",
            least,
            _against_baseline(Cell("throughput", "cat", level), "per_second"),
            is_least=True,
        )
        for level, least in ((1, 2.2), (8, 1.8), (32, 1.8), (128, 1.8))
    ),
    Target("`fork`, `cat`, p50", 0.95, _against_baseline(_PACED, "p50_us", _EXECUTED)),
    Target("`read`, `cat`, p50", 0.25, _against_baseline(_PACED, "p50_us", _HELD)),
    *(
        Target(
            f"`{own.removeprefix('socketd-')}`, {PROGRAMS[program].title}, "
            f"connections per second, {level} at once",
            least,
            _against_baseline(Cell("throughput", program, level), "per_second", own),
            is_least=True,
        )
        for own, program, level, least in (
            (_EXECUTED, "cat", 8, 1.0),
            (_HELD, "cat", 1, 4.0),
            (_HELD, "cat", 8, 2.2),
            (_HELD, "cat", 32, 2.2),
            (_HELD, "python", 8, 3.0),
            (_HELD, "bash", 8, 3.0),
        )
    ),
    Target(
        "`read`, a Python script, first byte, p50",
        0.04,
        _against_baseline(Cell("paced", "python", 20), "first_us", _HELD),
    ),
    Target(
        "`relay`, 1 GiB through `cat`, to directly wired",
        0.6,
        lambda results: results.ratio(
            Cell("volume", "cat", 1024), _RELAYING, "mib_per_second", _OWN
        ),
        is_least=True,
    ),
    Target(
        "worst of 300 at one moment, 300 workers ready, to tcpserver's",
        0.55,
        _against_baseline(Cell("burst", "cat", 300), "worst_us"),
    ),
    *(
        Target(
            f"memory of an idle worker (PSS), {level} workers",
            150,
            _own("memory", level, "worker_pss_kib"),
            unit=" KiB",
        )
        for level in (4, 100, 1000)
    ),
    Target(
        "memory of an idle copy (PSS), Python script with a 50 MiB heap, 100 copies",
        1536,
        lambda results: results.summary(Cell("memory", "heap", 100), _HELD, "worker_pss_kib"),
        unit=" KiB",
    ),
    Target(
        "a client's whole run, to `python3 -I -S -c pass`",
        1.7,
        _own("client start", 1, "to_python"),
    ),
    Target(
        "from exec to listening, to `python3 -I -S -c pass`",
        4,
        _own("server start", 4, "to_python"),
    ),
    Target("cold start of 1,000 idle workers", 1, _own("cold start", 1000, "seconds"), unit=" s"),
    Target(
        "processor time of the master per connection, 1,000 workers to 10",
        1.2,
        lambda results: results.ratio(
            Cell("master cpu", "cat", 1000), _OWN, "cpu_us", _OWN, Cell("master cpu", "cat", 10)
        ),
    ),
)


def _conditions(results: Results) -> str:
    machine, settings = results.machine, results.settings
    conditions = (
        f"Measured on {settings['date']} at commit {settings['commit']}: {machine['processor']}, "
        f"{machine['cores']} cores, {machine['memory']}, {machine['kernel']}, "
        f"the master under Python {machine['python']}, the script under {machine['script']}; "
        f"load average before the run {machine['load before']}. "
        f"{settings['rounds']} rounds; every number is the median over the rounds, with the "
        "least and the most of them in brackets. A ratio is taken within each round, against "
        f"{BASELINE}. Backlog {settings['backlog']}, at most {settings['limit']} connections; "
        f"socketd starts with {settings['workers']} workers unless the table says otherwise."
    )
    versions = [
        [_TITLES[key], version] for key, version in results.versions.items() if version != "-"
    ]
    parts = [conditions, table(["server", "version"], versions)]
    noted = [server for server in SERVERS if server.note and server.key in results.versions]
    notes = [f"- {server.title}: {server.note}." for server in noted] + cgi_report.notes(results)
    if notes:
        parts.append("\n".join(notes))
    if results.missing:
        missing = ", ".join(f"{name} ({package})" for name, package in results.missing.items())
        parts.append(f"Not installed, with the package that brings it: {missing}.")
    return "\n\n".join(parts)


def _targets(results: Results) -> str:
    rows = [target.row(results) for target in (*TARGETS, *cgi_report.TARGETS)]
    return section("Targets", ["target", "limit", "measured", ""], rows)


def _paced(results: Results, cell: Cell) -> str:
    quantiles = ("p50", "p90", "p99")
    rows = []
    for key in _measured(results, [cell]):
        row = [_TITLES[key]]
        row += [ms(results.summary(cell, key, f"{name}_us")) for name in quantiles]
        row.append(ms(results.summary(cell, key, "first_us")))
        row += [_ratio(results, cell, key, f"{name}_us") for name in ("p50", "p99")]
        rows.append([*row, _errors(results, [cell], key)])
    title = f"Turn-around of {PROGRAMS[cell.program].title}, {cell.level} connections per second"
    times = [*(f"{name}, ms" for name in quantiles), "first byte, p50, ms"]
    header = ["server", *times, "p50 ratio", "p99 ratio", "errors"]
    return section(title, header, rows)


def _throughput(results: Results) -> str:
    cells = results.cells("throughput")
    rows = []
    for key in _measured(results, cells):
        row = [_TITLES[key]]
        for cell in cells:
            found = results.summary(cell, key, "per_second")
            ratio = results.ratio(cell, key, "per_second", BASELINE)
            row.append(span(found, "{:.0f}") + (f" **{ratio.median:.2f}**" if ratio else ""))
        rows.append([*row, _errors(results, cells, key)])
    levels = [f"{PROGRAMS[cell.program].title}, {cell.level} at once" for cell in cells]
    return section("Connections per second (ratio in bold)", ["server", *levels, "errors"], rows)


def _burst(results: Results, cell: Cell) -> str:
    rows = []
    for key in _measured(results, [cell]):
        row = [_TITLES[key]]
        row += [ms(results.summary(cell, key, f"{name}_us")) for name in ("median", "worst", "all")]
        rows.append([*row, _ratio(results, cell, key, "worst_us"), _errors(results, [cell], key)])
    ready = {r.workers for r in results.records if r.measurement == cell.measurement}
    title = f"{cell.level} connections at one moment, {max(ready)} workers ready"
    header = ["server", "median, ms", "worst, ms", "all answered, ms", "worst, ratio", "errors"]
    return section(title, header, rows)


def _memory(results: Results) -> str:
    values = ("worker_pss_kib", "master_pss_kib", "helpers_pss_kib")
    rows = [
        [
            PROGRAMS[cell.program].title,
            str(cell.level),
            _TITLES[key],
            *(_number(results, cell, key, name) for name in values),
        ]
        for cell in results.cells("memory")
        for key in _measured(results, [cell])
    ]
    header = ["program", "workers", "server", "idle worker, KiB", "master, KiB", "template, KiB"]
    return section("Memory (PSS)", header, rows)


def _master_cpu(results: Results) -> str:
    rows = [
        [
            str(cell.level),
            _TITLES[key],
            _number(results, cell, key, "cpu_us", "{:.1f}"),
            _number(results, cell, key, "per_second"),
        ]
        for cell in results.cells("master cpu")
        for key in _measured(results, [cell])
    ]
    header = ["workers", "server", "µs per connection", "connections/s, 8 at once"]
    return section("Processor time of the master", header, rows)


def _cold_start(results: Results) -> str:
    rows = [
        [str(cell.level), _TITLES[key], _number(results, cell, key, "seconds", "{:.2f}")]
        for cell in results.cells("cold start")
        for key in _measured(results, [cell])
    ]
    return section("Cold start", ["workers", "server", "seconds until all are ready"], rows)


def _starts(results: Results) -> str:
    rows = [
        [
            title,
            ms(results.summary(cell, key, "own_us")),
            ms(results.summary(cell, key, "python_us")),
            _number(results, cell, key, "to_python", "{:.2f}"),
        ]
        for measurement, title in (
            ("client start", "`socket -N HOST PORT`, whole run"),
            ("server start", "`socket -p cat -l -f -W 4 -s PORT`, until it listens"),
        )
        for cell in results.cells(measurement)
        for key in _measured(results, [cell])
        if key == _OWN
    ]
    header = ["command", "ms", "`python3 -I -S -c pass`, ms", "ratio"]
    return section("Starts", header, rows)


def _volume(results: Results) -> str:
    rows = [
        [
            str(cell.level),
            _TITLES[key],
            _number(results, cell, key, "mib_per_second"),
            span(results.ratio(cell, key, "mib_per_second", _OWN), "{:.2f}"),
        ]
        for cell in results.cells("volume")
        for key in _measured(results, [cell])
    ]
    header = ["MiB", "server", "MiB/s", "to directly wired"]
    return section("One connection, both ways at once", header, rows)


def _generator(results: Results) -> str:
    cells = results.cells("throughput")
    keys = [key for key in _measured(results, cells) if key in (_OWN, BASELINE, "no-process")]
    rows = [
        [
            PROGRAMS[cell.program].title,
            str(cell.level),
            *(_number(results, cell, key, "generator_us", "{:.1f}") for key in keys),
        ]
        for cell in cells
    ]
    header = ["program", "at once", *(f"µs, {_TITLES[key]}" for key in keys)]
    title = "Processor time of the load generator, per connection"
    return section(title, header, rows)


def _failures(results: Results) -> str:
    lines = [
        f"- {_TITLES[server]}: {', '.join(places)}: {' '.join(reason.split())}"
        for (server, reason), places in results.failures().items()
    ]
    return "\n".join(["### Not measured", "", *lines]) if lines else ""


def _measured(results: Results, cells: Iterable[Cell]) -> list[str]:
    """Return the servers that gave a number at any of these levels."""
    return [
        key
        for key in _TITLES
        if any(record.values for cell in cells for record in results.of(cell, key))
    ]


def _ratio(results: Results, cell: Cell, key: str, value: str) -> str:
    return span(results.ratio(cell, key, value, BASELINE), "{:.2f}")


def _errors(results: Results, cells: list[Cell], key: str) -> str:
    found: Counter[str] = Counter()
    for cell in cells:
        found.update(results.errors(cell, key))
    return ", ".join(f"{count} {name}" for name, count in found.items()) or "0"


def _number(results: Results, cell: Cell, key: str, value: str, form: str = "{:.0f}") -> str:
    return span(results.summary(cell, key, value), form)
