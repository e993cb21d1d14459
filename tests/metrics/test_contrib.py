"""The files of contrib/monitoring, by Prometheus's own tools, a real one, a real logrotate."""

import json
import os
import re
import shutil
import signal
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.clients import exchange
from harness.commands import Command, StartCommand
from harness.controls import example
from harness.supervisors import Supervisor, run_socketd
from harness.waiting import wait_for
from metrics.test_families import state_of
from socketd.metrics.families import families
from socketd.system.products import is_built

FOLDER = Path(__file__).parents[2] / "contrib" / "monitoring"
VARIABLES = {"$instance": ".*", "$service": ".*", "$__rate_interval": "1m"}

Panel = dict[str, Any]


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run promtool in the folder of the files."""
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed")
    return subprocess.run(
        ["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True, check=False
    )


def panels() -> list[Panel]:
    """Return the panels of the dashboard that show something."""
    dashboard = json.loads((FOLDER / "dashboard.json").read_text())
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions() -> list[tuple[str, str]]:
    """Return the title of a panel and an expression of it, for all of them."""
    found = []
    for panel in panels():
        for target in panel["targets"]:
            text = str(target["expr"])
            for name, value in VARIABLES.items():
                text = text.replace(name, value)
            found.append((str(panel["title"]), text))
    return found


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "alerts.yml"),
        ("check", "config", "prometheus.yml"),
        ("test", "rules", "alerts.test.yml"),
    ],
    ids=" ".join,
)
def test_files_of_prometheus_are_right(arguments: tuple[str, ...]) -> None:
    """Prometheus's own tool finds no fault, and each rule fires when it should and not else."""
    done = promtool(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_rule_is_tested_and_explained() -> None:
    """Each rule has a test in which it fires, and a row in docs/monitoring.md."""
    rules = re.findall(r"- alert: (\w+)", (FOLDER / "alerts.yml").read_text())
    tests = (FOLDER / "alerts.test.yml").read_text()
    fired = re.findall(r"alertname: (\w+)\n +exp_alerts:\n", tests)
    page = (FOLDER.parents[1] / "docs" / "monitoring.md").read_text()

    assert rules
    assert set(fired) == set(rules)
    assert re.findall(r"^\| `(Socketd\w+)` \|", page, re.MULTILINE) == rules


def test_only_metrics_that_there_are_are_asked_for() -> None:
    """Rules and dashboard name no metric that a server does not have."""
    document = example()
    favourite = {"program": "/srv/cgi/a", "idle": 1, "busy": 0}
    document["services"][1]["listeners"][0]["favourites"] = [favourite]
    known = {family.sample for family in families(state_of(document))}
    asked = {
        name
        for file in ("alerts.yml", "dashboard.json")
        for name in re.findall(r"\bsocketd_\w+", (FOLDER / file).read_text())
    }

    assert {name.removesuffix("_bucket") for name in asked} <= known


def test_panels_do_not_overlap() -> None:
    """Each panel has a number, a title and a place of its own, within the 24 columns."""
    dashboard = json.loads((FOLDER / "dashboard.json").read_text())
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert all(x < 24 for x, _ in cells), panel["title"]
        taken |= cells
    for key in ("id", "title"):
        values = [panel[key] for panel in dashboard["panels"]]
        assert len(set(values)) == len(values)


@pytest.fixture
def prometheus(
    start: StartCommand, supervise: Callable[[str], Supervisor], tmp_path: Path
) -> Iterator[str]:
    """Have a Prometheus that has scraped a server before and after connections; yield its URL."""
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed")
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    supervisor = supervise(
        f'control = "{tmp_path}/c.control"\n[metrics]\nlisten = "tcp:127.0.0.1:0"\n'
        '[service.echo]\nprogram = "cat"\nlisten = ["tcp:127.0.0.1:0"]\n'
        '[service.fail]\nprogram = "false"\nlisten = ["tcp:127.0.0.1:0"]\nready = "fork"\n'
        '[service.slow]\nprogram = "sleep 9"\nlisten = ["tcp:127.0.0.1:0"]\n'
        'timeouts.connection = "50ms"\n'
        '[service.closed]\nprogram = "cat"\nlisten = ["tcp:127.0.0.1:0"]\ndeny = ["all"]\n'
        '[service.drained]\nprogram = "cat"\nlisten = ["tcp:127.0.0.1:0"]\n'
    )
    supervisor.wait_ready()
    drained = run_socketd("drain", "drained", "--control", f"{tmp_path}/c.control")
    assert drained.status == 0, drained.stderr
    port = supervisor.place("metrics")[1]
    configuration = tmp_path / "prometheus.yml"
    text = (FOLDER / "prometheus.yml").read_text()
    for former, ours in (
        ("scrape_interval: 15s", "scrape_interval: 500ms"),
        ("127.0.0.1:9750", f"127.0.0.1:{port}"),
        ("alerts.yml", f"{FOLDER}/alerts.yml"),
    ):
        assert former in text
        text = text.replace(former, ours)
    configuration.write_text(text)
    running: Command = start(
        f"--config.file={configuration}",
        f"--storage.tsdb.path={tmp_path}/data",
        "--web.listen-address=127.0.0.1:0",
        executable="prometheus",
    )
    address = running.wait_stderr(r'msg="Listening on" address=(\S+)')[1]
    running.wait_stderr("Server is ready to receive web requests")
    url = f"http://{address}"
    first = 'sum(socketd_connections_total{service="echo"}) == 0'
    wait_for(lambda: query(url, first), "a scrape before there are connections", 30)
    for name in ("echo", "fail", "closed", "slow") * 10:
        exchange(supervisor.place(name))
    closed = 'sum(increase(socketd_connections_ended_total{service="slow"}[1m])) > 0'
    wait_for(lambda: query(url, closed), "a scrape with them", 30)
    yield url
    running.signal(signal.SIGTERM)
    running.wait()


def query(url: str, expression: str) -> list[Any]:
    """Return what an expression gives at this moment; an error of it is one of the test."""
    arguments = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"{url}/api/v1/query?{arguments}", timeout=30) as answer:
        found = json.load(answer)
    assert found["status"] == "success", expression
    result: list[Any] = found["data"]["result"]
    return result


def test_dashboard_shows_what_a_real_prometheus_has(prometheus: str) -> None:
    """Each query of the dashboard is right, and has an answer after connections of each kind."""
    empty = [title for title, expression in expressions() if not query(prometheus, expression)]

    assert empty == []
    assert query(prometheus, 'up{job="socketd"}')[0]["value"][1] == "1"
    rules = urllib.request.urlopen(f"{prometheus}/api/v1/rules", timeout=30)
    with rules:
        groups = json.load(rules)["data"]["groups"]
    assert [rule["health"] for group in groups for rule in group["rules"]].count("err") == 0


def test_logrotate_loses_no_line(start: StartCommand, tmp_path: Path) -> None:
    """After a rotation the server writes to the new file; what was written before is in the old."""
    if shutil.which("logrotate") is None:
        pytest.skip("logrotate is not installed")
    if os.geteuid() != 0:
        pytest.skip("needs root")
    log, rules = tmp_path / "socketd.log", tmp_path / "rules"
    rules.write_text((FOLDER / "logrotate").read_text().replace("/var/log/socketd.log", str(log)))
    options = f"-v -l -B 127.0.0.1 -s 0 --log-level info --log-file {log} -p cat".split()
    server = start(*options)

    def port() -> int:
        found = re.search(r"service_ready .*\bport=(\d+)", log.read_text() if log.exists() else "")
        return int(found[1]) if found else 0

    place = ("127.0.0.1", wait_for(port, "a server"))
    exchange(place, b"before")
    wait_for(lambda: "connection_closed" in log.read_text(), "a line")
    before = log.read_text()
    done = subprocess.run(
        ["logrotate", "--force", "--state", str(tmp_path / "state"), str(rules)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    exchange(place, b"after")
    wait_for(lambda: "connection_closed" in log.read_text(), "a line in the new file")
    assert log.with_suffix(".log.1").read_text().startswith(before)
    assert log.stat().st_mode & 0o777 == 0o640
    server.signal(signal.SIGTERM)
    server.wait()
