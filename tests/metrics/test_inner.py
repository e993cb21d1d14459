"""`[metrics]` of a configuration file: a service of the same master that tells of all."""

import http.client
import json
import signal
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness.clients import Place, connect, exchange
from harness.supervisors import Supervisor, run_socketd
from harness.waiting import wait_for
from metrics.serving import without_h11
from socketd.errors import ExitCode
from socketd.system.products import is_built

Start = Callable[[str], Supervisor]


def get(place: Place, target: str) -> tuple[int, bytes]:
    """Return status and body of an answer."""
    connection = http.client.HTTPConnection(str(place[0]), int(place[1]), timeout=30)
    connection.request("GET", target)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def file_of(folder: Path, metrics: str = 'listen = "tcp:127.0.0.1:0"') -> str:
    """Return a file with a service and [metrics]."""
    return (
        f'control = "{folder}/c.control"\n[metrics]\n{metrics}\n'
        '[service.echo]\nprogram = "cat"\nlisten = ["tcp:127.0.0.1:0"]\nworkers.max = 3\n'
    )


def value(text: str, name: str, **labels: str) -> float:
    """Return the sample of a metric with these labels among others."""
    [found] = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    return found


def test_metrics_are_a_service_among_others(supervise: Start, tmp_path: Path) -> None:
    """[metrics] serves what the same master says, of itself as well; reload and re-exec keep it."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    supervisor = supervise(file_of(tmp_path))
    place, echo = supervisor.place("metrics"), supervisor.place("echo")
    assert exchange(echo, b"a") == b"a"
    wait_for(lambda: get(place, "/readyz") == (200, b"ok\n"), "readiness")
    [ready] = supervisor.wait_events("service_ready", 1, service="metrics")
    assert ready["ready"] == "stop"

    def connections() -> float:
        text = get(place, "/metrics")[1].decode()
        assert value(text, "socketd_workers_max", service="echo") == 3
        assert value(text, "socketd_workers_max", service="metrics") == 4
        return value(text, "socketd_connections_total", service="echo")

    wait_for(lambda: connections() == 1, "the first connection is counted")
    assert supervisor.reload()["event"] == "reloaded"
    assert supervisor.replace()["event"] == "reexec_done"
    assert exchange(echo, b"b") == b"b"
    wait_for(lambda: connections() == 2, "the counter goes on")
    state = json.loads(get(place, "/status.json")[1])
    assert [one["name"] for one in state["services"]] == ["echo", "metrics"]
    assert get(place, "/")[0] == 200
    supervisor.reload(file_of(tmp_path).replace("[metrics]", "").replace('listen = "tcp', "#"))
    assert exchange(echo, b"c") == b"c"


def test_answers_come_while_every_worker_is_busy(supervise: Start, tmp_path: Path) -> None:
    """When all workers of a service have a connection, its numbers are told all the same."""
    supervisor = supervise(file_of(tmp_path))
    place, echo = supervisor.place("metrics"), supervisor.place("echo")
    held = [connect(echo) for _ in range(5)]

    def waiting() -> bool:
        text = get(place, "/metrics")[1].decode()
        busy = value(text, "socketd_workers", service="echo", state="busy")
        return (busy, value(text, "socketd_queue_length", service="echo")) == (3, 2)

    wait_for(waiting, "three that are served and two that wait")
    for connection in held:
        connection.close()


def test_clients_may_be_named(supervise: Start, tmp_path: Path) -> None:
    """The settings about clients are those of any service; others are refused by name."""
    text = file_of(tmp_path, 'listen = ["tcp:127.0.0.1:0"]\ndeny = ["127.0.0.0/8"]')
    supervisor = supervise(text)
    assert exchange(supervisor.place("metrics")) == b""
    supervisor.wait_events("connection_refused", 1, service="metrics")


def test_they_tell_that_others_leave(supervise: Start, tmp_path: Path) -> None:
    """Readiness goes before a listener does, and whoever asks hears of it as long as it is open."""
    supervisor = supervise(f'{file_of(tmp_path)}stop_delay = "1h"\n')
    place, echo = supervisor.place("metrics"), supervisor.place("echo")
    wait_for(lambda: get(place, "/readyz") == (200, b"ok\n"), "readiness")
    supervisor.server.signal(signal.SIGTERM)
    wait_for(lambda: get(place, "/readyz?service=echo")[0] == HTTPStatus.SERVICE_UNAVAILABLE, "503")
    assert exchange(echo, b"a") == b"a"
    assert get(place, "/healthz")[0] == HTTPStatus.OK
    text = get(place, "/metrics")[1].decode()
    assert value(text, "socketd_listener_state", service="echo", state="departing") == 1
    supervisor.server.signal(signal.SIGTERM)
    assert supervisor.server.wait() == 0


@pytest.mark.parametrize(
    ("metrics", "told"),
    [
        ("", "metrics.listen: is missing; allowed: tcp:HOST:PORT"),
        ('listen = "9750"', "metrics.listen: found '9750', perhaps 'tcp:9750' is meant; allowed: "),
        ('listen = "tcp:1"\nprogram = "cat"', "metrics.program: unknown key; "),
        ('listen = "tcp:1"\nallow = 1', "metrics.allow: found 1; allowed: a list of addresses"),
        ('listen = "tcp:1"\n[service.metrics]\nlisten=["tcp:2"]\nprogram="cat"',
         "metrics: is a service of that name, so none can be [service.metrics]"),
        ('listen = "tcp:127.0.0.1:7"\n[service.a]\nlisten=["tcp:127.0.0.1:7"]\nprogram="cat"',
         "metrics.listen: found 'tcp:127.0.0.1:7', which service.a has too"),
    ],
)  # fmt: skip
def test_mistakes_are_told_by_their_key(tmp_path: Path, metrics: str, told: str) -> None:
    """What is wrong in [metrics] is told with its place there."""
    file = tmp_path / "file.toml"
    file.write_text(file_of(tmp_path, metrics))
    outcome = run_socketd("check", str(file))
    assert outcome.status == 1
    assert f"socketd: {file}: {told}" in outcome.stderr


def test_no_metrics_without_control_socket(tmp_path: Path) -> None:
    """Where the control socket is off there is nobody to ask, and that is a mistake."""
    file = tmp_path / "file.toml"
    file.write_text(file_of(tmp_path).replace(f"{tmp_path}/c.control", "off"))
    outcome = run_socketd("run", str(file))
    assert outcome.status == ExitCode.CONFIGURATION
    assert outcome.stderr == (
        f"socketd: {file}: metrics: needs the control socket: see the key control\n"
    )


def test_missing_package_is_a_mistake(tmp_path: Path) -> None:
    """Without h11 there can be no [metrics], and the file says what to install."""
    file = tmp_path / "file.toml"
    file.write_text(file_of(tmp_path))
    outcome = run_socketd("check", str(file), **without_h11(tmp_path))
    assert outcome.status == 1
    assert outcome.stderr == (
        f"socketd: {file}: metrics: cannot speak HTTP: the package h11 is not installed "
        "(try: pip install 'socketd[metrics]')\n"
    )


def test_show_is_a_file_again(tmp_path: Path) -> None:
    """`socketd show` prints [metrics] as it is written, and that is a file again."""
    file = tmp_path / "file.toml"
    file.write_text(file_of(tmp_path, 'listen = "tcp:127.0.0.1:9750"\nallow = ["127.0.0.1"]'))
    shown = run_socketd("show", str(file)).stdout
    assert '[metrics]\nlisten = ["tcp:127.0.0.1:9750"]\nallow = ["127.0.0.1"]\n' in shown
    file.write_text(shown)
    assert run_socketd("show", str(file)).stdout == shown
