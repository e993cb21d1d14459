"""Command line of the benchmark: run it, report on it, plot it."""

import functools
import os
import pathlib
import signal
import sys
import tempfile
import time
from dataclasses import replace
from types import FrameType

import click

from bench import (
    agreement,
    asked,
    cgi_measure,
    cgi_transfers,
    fleet,
    fleet_plot,
    fleet_record,
    machine,
    measure,
    plans,
    plots,
    report,
)
from bench.cgi import BACKENDS, CGI_PROGRAMS, Backend, Tools
from bench.generator import Generator
from bench.launch import BenchError
from bench.measure import Case, Subject
from bench.processes import adopt_orphans
from bench.results import Record, Results
from bench.servers import BACKLOG, LIMIT, SERVERS, locate

_KEYS = [server.key for server in SERVERS] + [one.key for one in BACKENDS]


@click.group(help=__doc__)
def main() -> None:
    """Choose a command."""


@main.command()
@click.option("--rounds", default=5, show_default=True, help="How often everything is measured.")
@click.option("--quick", is_flag=True, help="One short round, to see that everything runs.")
@click.option("--only", multiple=True, type=click.Choice(_KEYS), help="Only these servers.")
@click.option("--measurement", multiple=True, help="Only these: paced, burst, cgi, …")
@click.option("--workers", default=32, show_default=True, help="Workers that socketd starts with.")
@click.option("--socket", default=machine.own_command, help="The socket command to measure.")
@click.option("--output", default="bench-results.json", show_default=True, help="The JSON file.")
def run(
    *,
    rounds: int,
    quick: bool,
    only: tuple[str, ...],
    measurement: tuple[str, ...],
    workers: int,
    socket: str,
    output: str,
) -> None:
    """Measure everything that is installed; print the tables and write the numbers."""
    signal.signal(signal.SIGTERM, _leave)
    adopt_orphans()
    extent = measure.QUICK if quick else measure.FULL
    todo = [
        case
        for case in measure.cases(extent, workers)
        if not measurement or case.measurement in measurement
    ]
    with tempfile.TemporaryDirectory(prefix="socketd-bench-") as directory:
        try:
            generator = Generator.build(directory)
        except BenchError as error:
            raise click.ClickException(str(error)) from error
        subjects, missing = _find(only, {"socketd": socket, "load": generator.path})
        backends = _find_backends(only, missing) if _wants_cgi(measurement) else []
        results = Results(
            machine=machine.describe(),
            versions={s.server.key: machine.version(s.server, s.command) for s in subjects}
            | machine.web_versions(backends),
            missing=missing,
            settings={
                "date": time.strftime("%Y-%m-%d"),
                "commit": machine.revision(),
                "rounds": str(1 if quick else rounds),
                "backlog": str(BACKLOG),
                "limit": str(LIMIT),
                "workers": str(workers),
            },
            records=[],
        )
        try:
            for number in range(1 if quick else rounds):
                _run_round(number, todo, subjects, generator, results)
                if backends:
                    _run_cgi_round(
                        number, backends, socket, measurement, quick=quick, results=results
                    )
        finally:
            # what was measured before an interruption is worth keeping
            results.save(output)
    click.echo(report.render(results))


@main.command("report")
@click.argument("results", type=click.Path(exists=True, dir_okay=False))
@click.option("--into", type=click.Path(exists=True, dir_okay=False), help="A file with marks.")
def report_command(*, results: str, into: str | None) -> None:
    """Print the tables in Markdown, or put them between the marks of a file."""
    text = report.render(Results.read(results))
    if into is None:
        click.echo(text)
    else:
        report.replace_in(into, text)


@main.command("plans")
@click.option("--into", type=click.Path(exists=True, dir_okay=False), help="A file with marks.")
@click.option("--images", type=click.Path(exists=True, file_okay=False), help="A directory.")
def plans_command(*, into: str | None, images: str | None) -> None:
    """Simulate all strategies under all made-up streams: tables, and pictures with --images."""
    text = plans.compare(images)
    if into is None:
        click.echo(text)
    else:
        report.replace_in(into, text, plans.BEGIN_MARK)


@main.command("agree")
@click.option("--rounds", default=3, show_default=True, help="How often each is run.")
@click.option("--socket", default=machine.own_command, help="The socket command to measure.")
def agree_command(*, rounds: int, socket: str) -> None:
    """Run services beside their plans, and print how far they are off."""
    signal.signal(signal.SIGTERM, _leave)
    with tempfile.TemporaryDirectory(prefix="socketd-bench-") as directory:
        click.echo(agreement.agreement(Generator.build(directory), socket, rounds))


@main.command("asked")
@click.option("--rounds", default=40, show_default=True, help="How often each is run.")
@click.option("--seconds", default=0.5, show_default=True, help="The least of a block.")
@click.option("--socket", default=machine.own_command, help="The socket command to measure.")
def asked_command(*, rounds: int, seconds: float, socket: str) -> None:
    """Load a server with and without questions about it, and print the ratios."""
    signal.signal(signal.SIGTERM, _leave)
    try:
        text = asked.compare(socket, rounds, seconds, functools.partial(click.echo, err=True))
    except BenchError as error:
        raise click.ClickException(str(error)) from error
    click.echo(text)


@main.command("fleet")
@click.option("--into", help="Draw what happened into this SVG file.")
def fleet_command(*, into: str | None) -> None:
    """Have hosts of a fleet killed, drained, upgraded and overloaded, in network namespaces."""
    with tempfile.TemporaryDirectory(prefix="socketd-fleet-") as folder:
        try:
            story = fleet.play(pathlib.Path(folder))
        except BenchError as error:
            raise click.ClickException(str(error)) from error
    for line in fleet_record.summary(story):
        click.echo(line)
    if into is not None:
        fleet_plot.draw(story, into)
    wrong = fleet_record.mistakes(story)
    if wrong:
        raise click.ClickException("; ".join(wrong))


@main.command("plot")
@click.argument("results", type=click.Path(exists=True, dir_okay=False))
@click.option("--into", default="docs/images", show_default=True, help="A directory.")
def plot_command(*, results: str, into: str) -> None:
    """Draw the plots, as SVG."""
    try:
        drawn = plots.draw(Results.read(results), into)
    except ImportError as error:
        raise click.ClickException("plots need matplotlib: install the group 'bench'") from error
    for path in drawn:
        click.echo(path)


def _find(
    only: tuple[str, ...], own_commands: dict[str, str]
) -> tuple[list[Subject], dict[str, str]]:
    subjects: list[Subject] = []
    missing: dict[str, str] = {}
    for server in SERVERS:
        if only and server.key not in only:
            continue
        command = locate(server, own_commands)
        if command is None:
            where = server.package if server.is_in_debian else f"{server.package}, not in Debian 12"
            missing[server.title] = where
            click.echo(f"{server.title}: not installed (package {where})", err=True)
        else:
            subjects.append(Subject(server, command))
    return subjects, missing


def _wants_cgi(measurement: tuple[str, ...]) -> bool:
    wanted = {cgi_measure.MEASUREMENT, cgi_transfers.MEASUREMENT}
    return not measurement or not wanted.isdisjoint(measurement)


def _find_backends(only: tuple[str, ...], missing: dict[str, str]) -> list[Backend]:
    found, not_there = cgi_measure.installed(only)
    if not found and not not_there:
        return []
    needed = cgi_measure.missing_commands()
    if needed:
        click.echo(f"CGI is not measured, for want of {', '.join(needed)}", err=True)
        missing |= needed
        return []
    missing |= not_there
    return found


def _run_cgi_round(
    number: int,
    backends: list[Backend],
    socket: str,
    measurement: tuple[str, ...],
    *,
    quick: bool,
    results: Results,
) -> None:
    extent = measure.QUICK if quick else measure.FULL
    tools = Tools.beside(socket, measure.interpreter_of(socket))
    programs = tuple(CGI_PROGRAMS)[: extent.cgi_programs]
    say = functools.partial(click.echo, err=True)
    if not measurement or cgi_measure.MEASUREMENT in measurement:
        results.records.extend(
            cgi_measure.measure_round(number, backends, programs, tools, extent.cgi_seconds, say)
        )
    if cgi_transfers.MEASUREMENT in measurement or (extent.has_transfers and not measurement):
        results.records.extend(cgi_transfers.measure_round(number, backends, tools, say))


def _run_round(
    number: int,
    todo: list[Case],
    subjects: list[Subject],
    generator: Generator,
    results: Results,
) -> None:
    for position, case in enumerate(todo):
        click.echo(
            f"round {number + 1}: {case.measurement} {case.program.key} {case.level}", err=True
        )
        chosen = [subject for subject in subjects if case.applies_to(subject.server)]
        # another server comes first each time, so that no one always follows the same one
        turn = (number + position) % max(1, len(chosen))
        for subject in chosen[turn:] + chosen[:turn]:
            results.records.append(_measure(number, case, subject, generator))


def _measure(number: int, case: Case, subject: Subject, generator: Generator) -> Record:
    key = (case.measurement, case.program.key, case.level, case.workers, subject.server.key)
    fitting = replace(generator, keep_open=subject.server.loses_answers)
    try:
        found = case.measure(case, subject, fitting)
    except (BenchError, OSError) as error:
        click.echo(f"{subject.server.key}: {error}", err=True)
        return Record(*key, number, {}, {}, failure=str(error))
    return Record(*key, number, found.values, found.errors, found.samples_us)


def _leave(signal_number: int, frame: FrameType | None) -> None:
    del frame
    sys.exit(128 + signal_number)


if __name__ == "__main__":
    if os.name != "posix" or not os.path.exists("/proc/self/stat"):
        sys.exit("the benchmark reads /proc: it runs on Linux only")
    main(prog_name="python -m bench")
