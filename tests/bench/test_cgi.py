"""The CGI part of the benchmark runs, and reads what wrk says as it is meant."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import cgi_report
from bench.cgi import find
from bench.launch import BenchError
from bench.results import Record, Results
from bench.web import NEEDED, read_wrk

ROOT = Path(__file__).resolve().parents[2]
WRK = """Running 2s test @ http://127.0.0.1:1/fcgiwrap
  1 threads and 8 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     4.68ms    2.29ms  22.40ms   80.99%
  Latency Distribution
     50%  812.00us
     75%    5.50ms
     90%    7.22ms
     99%    1.05s
  3410 requests in 2.00s, 0.91MB read
  Socket errors: connect 0, read 3, write 0, timeout 1
  Non-2xx or 3xx responses: 7
Requests/sec:   1703.11
Transfer/sec:    465.70KB
"""


def test_answer_of_wrk_is_read_with_its_units_and_errors() -> None:
    """Times become microseconds whatever their unit, and only errors that there were are told."""
    found = read_wrk(WRK)

    assert (found.per_second, found.p50_us, found.p99_us) == (1703.11, 812.0, 1_050_000.0)
    assert found.errors == {"not 2xx": 7, "read": 3, "timeout": 1}


def test_run_without_an_answer_is_a_failure() -> None:
    """What was never answered has no speed."""
    with pytest.raises(BenchError, match="nothing was answered"):
        read_wrk(WRK.replace("1703.11", "0.00"))


def test_target_is_judged_against_fcgiwrap_of_the_same_program() -> None:
    """A ratio is taken within a round and a program."""
    cells = [("fcgiwrap", "c", 100.0), ("front-load", "c", 170.0), ("fcgiwrap", "sh", 500.0)]
    records = [
        Record("cgi", program, 8, 8, key, 0, {"per_second": rate}, {})
        for key, program, rate in cells
    ]
    results = Results(machine={}, versions={}, missing={}, settings={}, records=records)

    assert cgi_report.TARGETS[0].row(results)[2:] == ["1.70 (1.70 to 1.70)", "met"]
    assert len(cgi_report.sections(results)) == 2


def test_time_of_a_transfer_is_judged_against_fcgiwrap() -> None:
    """The least time is the best, and there is one table for all that is moved."""
    records = [
        Record("cgi-transfer", "up", 1, 1, key, 0, {"wall_us": time}, {})
        for key, time in (("fcgiwrap", 200_000.0), ("front-load", 150_000.0))
    ]
    results = Results(machine={}, versions={}, missing={}, settings={}, records=records)

    rows = [target.row(results) for target in cgi_report.TARGETS]
    found = next(row for row in rows if "100 MiB up" in row[0] and "scgi" in row[0])
    assert found[2:] == ["0.75 (0.75 to 0.75)", "met"]
    assert "what one client moves" in cgi_report.sections(results)[-1]


@pytest.mark.slow
def test_quick_run_measures_cgi_behind_nginx(tmp_path: Path) -> None:
    """One short round with one backend of each kind ends well and leaves nothing behind."""
    for command in NEEDED:
        if find(command) is None:
            pytest.skip(f"{command} is not installed")
    only = ["--only", "fcgiwrap", "--only", "line-scgi2cgi", "--only", "line-fcgi2cgi"]
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    output = tmp_path / "results.json"
    start = [sys.executable, "-m", "bench", "run", "--quick", "--measurement", "cgi"]

    done = subprocess.run(
        [*start, *only, "--output", str(output)],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if "COV" not in k} | {"TMPDIR": str(scratch)},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )

    assert done.returncode == 0, done.stderr
    records = json.loads(output.read_text())["records"]
    found = {record["server"]: (record["failure"], record["errors"]) for record in records}
    assert found == dict.fromkeys(("fcgiwrap", "line-scgi2cgi", "line-fcgi2cgi"), (None, {}))
    assert "### CGI behind nginx: a C program, 8 requests at once" in done.stdout
    assert list(scratch.iterdir()) == []
