"""The paths of `socketd metrics`, and HTTP, by real connections."""

import gzip
import http.client
import json
import socket
from pathlib import Path

from harness.clients import connect, exchange, read_all
from harness.commands import StartCommand
from harness.controls import ControlSocket, controlled, example
from harness.servers import Server
from harness.supervisors import SOCKETD, run_socketd
from metrics.serving import without_h11
from socketd.errors import ExitCode

Answer = tuple[int, dict[str, str], bytes]


def ask(server: Server, target: str, method: str = "GET", **fields: str) -> Answer:
    """Send a request, return status, fields and body."""
    place = server.place
    assert not isinstance(place, str)
    connection = http.client.HTTPConnection(*place, timeout=30)
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    connection.request(method, target, headers={"Accept-Encoding": "identity", **headers})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, {key.lower(): value for key, value in response.getheaders()}, body


def test_each_path_answers(metrics: Server) -> None:
    """/metrics is text, /status.json the state itself, / a page; each says what it is."""
    status, fields, body = ask(metrics, "/metrics")
    assert (status, fields["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert b"\nsocketd_workers{" in body
    status, fields, body = ask(metrics, "/status.json")
    assert (status, fields["content-type"]) == (200, "application/json")
    assert json.loads(body) == example()
    status, fields, body = ask(metrics, "/")
    assert (status, fields["content-type"]) == (200, "text/html; charset=utf-8")
    assert body.startswith(b"<!doctype html>")
    assert "default-src 'none'" in fields["content-security-policy"]
    assert ask(metrics, "/healthz")[::2] == (200, b"ok\n")


def test_openmetrics_and_compression_are_negotiated(metrics: Server) -> None:
    """What Prometheus asks for it gets: OpenMetrics, compressed."""
    accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
    status, fields, body = ask(metrics, "/metrics", Accept=accept, Accept_Encoding="gzip")

    assert status == 200
    assert fields["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert fields["content-encoding"] == "gzip"
    assert gzip.decompress(body).endswith(b"\n# EOF\n")
    assert "content-encoding" not in ask(metrics, "/metrics", Accept_Encoding="gzip;q=0")[1]


def test_other_requests_are_told_what_there_is(metrics: Server) -> None:
    """An unknown path is 404, another method 405; a HEAD has the fields of a GET and no body."""
    status, _, body = ask(metrics, "/favicon.ico")
    assert (status, b"/metrics" in body) == (404, True)
    status, fields, _ = ask(metrics, "/metrics", "POST")
    assert (status, fields["allow"]) == (405, "GET, HEAD")
    assert ask(metrics, "//[")[0] == 400
    length = ask(metrics, "/status.json")[1]["content-length"]
    status, fields, body = ask(metrics, "/status.json", "HEAD")
    assert (status, fields["content-length"], body) == (200, length, b"")


def test_ready_is_who_serves(metrics: Server, control: ControlSocket) -> None:
    """A server is ready if it and all its services run; a service can be asked about alone."""
    web = control.document["services"][1]["listeners"][0]
    web["state"], web["back_off"] = "running", None
    assert ask(metrics, "/readyz")[::2] == (200, b"ok\n")
    web["state"] = "drained"
    assert ask(metrics, "/readyz")[::2] == (503, b"web unix:/run/web.sock: it is drained\n")
    assert ask(metrics, "/readyz?service=echo")[0] == 200
    assert ask(metrics, "/readyz?service=web")[0] == 503
    assert ask(metrics, "/readyz?service=nobody")[0] == 404
    web["state"] = "running"
    web["back_off"] = {"seconds": 4.0, "step": 3, "reason": "exec: No such file or directory"}
    assert ask(metrics, "/readyz")[0] == 200  # workers that there are go on
    web["workers"] |= {"idle": 0, "busy": 0}
    assert b"web unix:/run/web.sock: its workers fail" in ask(metrics, "/readyz")[2]
    control.document["server"]["state"] = "stopping"
    assert b"the server is stopping" in ask(metrics, "/readyz?service=echo")[2]


def test_a_server_that_says_nonsense_is_unavailable(
    metrics: Server, control: ControlSocket
) -> None:
    """What is no state is 503; the reason stands in the log, not in the answer."""
    for raw in (
        b"nonsense",
        b"[]",
        b'{"format": 1}',
        b'{"format": 99}',
        b'{"format":1,"error":"x"}',
    ):
        control.raw = raw
        status, _, body = ask(metrics, "/metrics")
        assert (status, body) == (503, b"the server does not answer; see its log\n"), raw
    assert any("socketd metrics: " in line for line in metrics.noise)


def test_other_protocols_are_refused(metrics: Server) -> None:
    """Bytes that are no request get 400, a head without end 431, and the connection ends."""
    assert exchange(metrics.place, b"\0\xff\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    endless = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 40_000
    assert exchange(metrics.place, endless).startswith(b"HTTP/1.1 431 ")
    assert exchange(metrics.place, b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert exchange(metrics.place, b"GET /healthz HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    assert exchange(metrics.place) == b""
    assert exchange(metrics.place, b"GET / HT").startswith(b"HTTP/1.1 400 ")


def test_body_does_not_cost_the_answer(metrics: Server) -> None:
    """A client that sends more than is read still gets all of its answer."""
    head = b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n"
    with connect(metrics.place) as connection:
        connection.sendall(head + b"x" * 500_000)
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert answer.endswith(b"only GET and HEAD are answered here\n")


def test_client_that_does_not_read_keeps_nobody(metrics: Server, control: ControlSocket) -> None:
    """A copy whose client has left without reading ends as any other."""
    service = control.document["services"][0]
    control.document["services"] = [service | {"name": f"s{i}"} for i in range(2000)]
    before = len(metrics.events("connection_closed"))
    with connect(metrics.place) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        connection.recv(1)
    metrics.wait_any(["connection_closed"], before + 1)
    assert metrics.events("connection_closed")[-1]["status"] == 0


def test_command_answers_on_pipes(start: StartCommand, tmp_path: Path) -> None:
    """`socketd metrics` answers one request on stdin and stdout, whatever these are."""
    with controlled(tmp_path / "control") as control:
        asking = start("metrics", "--control", str(control.path), executable=SOCKETD)
        output, status = asking.finish(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (output.partition(b"\r\n")[0], status) == (b"HTTP/1.1 200 OK", 0)
    assert output.endswith(b"\r\n\r\nok\n")


def test_health_looks_at_no_service(start: StartCommand, tmp_path: Path) -> None:
    """`/healthz` asks for no more than the server; an older one refuses that, and has answered."""
    with controlled(tmp_path / "control") as control:
        control.raw = b'{"format": 1, "error": "not understood", "errors": [], "code": 64}'
        asking = start("metrics", "--control", str(control.path), executable=SOCKETD)
        output, _ = asking.finish(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert control.heard == [b'{"get":"server"}\n']
    assert output.startswith(b"HTTP/1.1 200 ")


def test_server_that_is_gone_is_told(start: StartCommand, tmp_path: Path) -> None:
    """Without a server the answer is 503, and stderr says why; the exit code is 0 all the same."""
    gone = tmp_path / "gone"
    asking = start("metrics", "--control", str(gone), executable=SOCKETD)
    output, status = asking.finish(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (output.partition(b"\r\n")[0], status) == (b"HTTP/1.1 503 Service Unavailable", 0)
    assert asking.stderr.startswith(f"socketd metrics: cannot ask the server at {str(gone)!r}: ")


def test_server_is_found_by_its_file(start: StartCommand, tmp_path: Path) -> None:
    """FILE is that of the server, as for `socketd status`; a file without one is told."""
    file = tmp_path / "file.toml"
    with controlled(tmp_path / "control") as control:
        file.write_text(f'control = "{control.path}"\n')
        asking = start("metrics", str(file), executable=SOCKETD)
        output, _ = asking.finish(b"GET /healthz HTTP/1.0\r\n\r\n")
    assert output.startswith(b"HTTP/1.1 200 ")
    file.write_text('control = "off"\n')
    asking = start("metrics", str(file), executable=SOCKETD)
    output, _ = asking.finish(b"GET /healthz HTTP/1.0\r\n\r\n")
    assert output.startswith(b"HTTP/1.1 503 ")
    assert "its server has no control socket" in asking.stderr


def test_missing_package_is_one_line(tmp_path: Path) -> None:
    """Without h11 the command says what to install."""
    outcome = run_socketd("metrics", "--control", "/none", **without_h11(tmp_path))
    assert outcome.status == ExitCode.SYSTEM
    assert outcome.stderr == (
        "socketd: cannot speak HTTP: the package h11 is not installed "
        "(try: pip install 'socketd[metrics]')\n"
    )
