"""The benchmark runs: its numbers are for people, its form is for this test."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench import plots, report
from bench.results import Cell, Record, Results

ROOT = Path(__file__).resolve().parents[2]


def _record(server: str, number: int, value: float) -> Record:
    return Record("paced", "cat", 100, 32, server, number, {"p50_us": value}, {})


def _results(records: list[Record]) -> Results:
    machine = {"processor": "?", "cores": "1", "memory": "?", "kernel": "?", "python": "?"}
    settings = {"date": "?", "commit": "?", "rounds": "3", "backlog": "1", "limit": "1"}
    return Results(
        machine={**machine, "script": "?", "load before": "0"},
        versions={"tcpserver": "1", "socketd-native": "2"},
        missing={},
        settings={**settings, "workers": "4"},
        records=records,
    )


def test_ratio_is_taken_within_each_round() -> None:
    """A round in which the machine was slow for all changes no ratio."""
    records = [_record("tcpserver", number, value) for number, value in enumerate((10, 90, 10))]
    records += [_record("socketd-native", number, value) for number, value in enumerate((5, 45, 5))]
    ratio = _results(records).ratio(
        Cell("paced", "cat", 100), "socketd-native", "p50_us", "tcpserver"
    )
    assert ratio is not None
    assert (ratio.median, ratio.least, ratio.most) == (0.5, 0.5, 0.5)


def test_target_says_met_or_missed() -> None:
    """A target is judged by the median of its ratios."""
    records = [_record("tcpserver", 0, 10), _record("socketd-native", 0, 5)]
    assert report.TARGETS[0].row(_results(records))[-1] == "met"
    records = [_record("tcpserver", 0, 10), _record("socketd-native", 0, 15)]
    assert report.TARGETS[0].row(_results(records))[-1] == "**missed**"
    assert report.TARGETS[0].row(_results([]))[-1] == "not measured"


def test_report_replaces_what_stands_between_the_marks(tmp_path: Path) -> None:
    """The tables of a page are written by the command, and the text around them stays."""
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN_MARK}\nold\n{report.END_MARK}\nafter\n")
    report.replace_in(str(page), "new")
    assert page.read_text() == (f"before\n{report.BEGIN_MARK}\n\nnew\n\n{report.END_MARK}\nafter\n")


# One of each kind: ours, ours held, a server that forks, none at all.
ONLY = [
    word
    for key in ("socketd-native", "socketd-fork", "tcpserver", "no-process")
    for word in ("--only", key)
]


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which(os.environ.get("CC", "cc")) is None, reason="no C compiler for the load program"
)
def test_quick_run_measures_what_is_installed(tmp_path: Path) -> None:
    """One short round ends well, writes its JSON file, and leaves no file of its own behind."""
    output = tmp_path / "results.json"
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "bench", "run", "--quick", *ONLY, "--output", str(output)],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if "COV" not in k} | {"TMPDIR": str(scratch)},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(output.read_text())
    assert set(found) == {"schema", "machine", "versions", "missing", "settings", "records"}
    assert {"processor", "cores", "memory", "kernel"} <= set(found["machine"])
    # the load program's own server needs nothing but the compiler
    own = [record for record in found["records"] if record["server"] == "no-process"]
    assert {record["measurement"] for record in own} == {"paced", "throughput", "burst"}
    assert [record["failure"] for record in own] == [None] * len(own)
    assert [record["errors"] for record in own] == [{}] * len(own)
    paced = next(record for record in own if record["measurement"] == "paced")
    assert {"p50_us", "p90_us", "p99_us"} <= set(paced["values"])
    assert len(paced["samples_us"]) == 20
    assert "### Targets" in done.stdout
    assert list(scratch.iterdir()) == []


def test_plots_are_drawn_from_what_was_measured(tmp_path: Path) -> None:
    """Each picture has its file, the levels with the median of each, and text stays text."""
    pytest.importorskip("matplotlib", reason="matplotlib is of the group 'bench'")
    servers = {"tcpserver": 1000.0, "socketd-native": 900.0, "socketd-read": 125.0}
    records = [
        Record("paced", program, 100, 32, key, 0, {"p50_us": value}, {}, [value, value * 2])
        for program in ("cat", "python")
        for key, value in servers.items()
    ]

    drawn = plots.draw(_results(records), str(tmp_path))

    names = [os.path.basename(path) for path in drawn]
    assert names == ["turn-around-cat.svg", "turn-around-python.svg", "levels.svg"]
    picture = (tmp_path / "levels.svg").read_text()
    for text in ("the connection arrives", "--ready load", "1.00 ms", "0.90 ms", "0.12 ms"):
        assert f">{text}<" in picture
