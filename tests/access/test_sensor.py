"""A sensor: who connects to it is kept out of all services for a time."""

from collections.abc import Callable

import pytest
from access.services import ECHO, say, service

from harness.supervisors import Supervisor
from harness.waiting import wait_for
from socketd.system.products import is_built

Supervise = Callable[..., Supervisor]
SENSOR = 'sensor = "1h"'
ALLOW = 'allow = ["127.0.0.1"]'


def both(kind: str, *keys: str, sensor: tuple[str, ...] = (SENSOR, ALLOW)) -> str:
    """Return a file with an ordinary service and a sensor."""
    trap = service(kind, *sensor, program=ECHO).replace("service.s", "service.trap")
    return service(kind, *keys, program=ECHO) + trap


def test_who_connects_to_a_sensor_is_kept_out_of_all_services(
    supervise: Supervise, kind: str
) -> None:
    """Not who is allowed there, nor others; it is logged once, and counted."""
    supervisor = supervise(both(kind))
    place, trap = supervisor.place("s"), supervisor.place("trap")

    assert say(place, "127.0.0.2") == b"hello\n"
    assert say(trap) == b"hello\n"
    for _ in range(2):
        assert say(trap, "127.0.0.2") == b""
    [line] = supervisor.wait_events("client_sensed", 1, service="trap", duration_s=3600.0)
    assert str(line["peer"]).startswith("127.0.0.2:")
    assert say(place, "127.0.0.2") == b""
    supervisor.wait_events("connection_refused", 1, service="s", reason="sensed")
    assert say(place) == b"hello\n"
    assert say(place, "127.0.0.3") == b"hello\n"


def test_sensed_client_is_kept_out_over_reload_and_reexec(supervise: Supervise, early: str) -> None:
    """And of services that come later; whatever the rules there say."""
    supervisor = supervise(both(early))
    assert say(supervisor.place("trap"), "127.0.0.2") == b""
    supervisor.wait_events("client_sensed", 1)
    supervisor.replace()
    keys = ('allow = ["all"]', 'refusal_text = "no"')
    more = service(early, *keys, program=ECHO).replace("service.s", "service.later")
    supervisor.reload(both(early) + more)

    assert say(supervisor.place("s"), "127.0.0.2") == b""
    assert say(supervisor.place("later"), "127.0.0.2") == b"no"
    assert say(supervisor.place("later")) == b"hello\n"


def test_time_of_a_sensor_ends(supervise: Supervise, early: str) -> None:
    """Then the client is served again, without anybody's doing."""
    supervisor = supervise(both(early, sensor=('sensor = "300ms"',)))
    place = supervisor.place("s")
    assert say(supervisor.place("trap")) == b""
    supervisor.wait_events("client_sensed", 1)

    wait_for(lambda: say(place) == b"hello\n", "its time is up")


@pytest.mark.parametrize("early", ["python", "fork"], indirect=True)
def test_client_behind_a_proxy_is_sensed_and_not_the_proxy(
    supervise: Supervise, early: str
) -> None:
    """On both sides it is the client that counts."""
    proxied = 'proxy_protocol = ["127.0.0.1"]'
    supervisor = supervise(both(early, proxied, sensor=(SENSOR, proxied)))
    place, trap = supervisor.place("s"), supervisor.place("trap")
    lines = [b"PROXY TCP4 192.0.2.%d 198.51.100.2 1234 443\r\nhello\n" % last for last in (1, 2)]

    assert say(trap, text=lines[0]) == b""
    supervisor.wait_events("client_sensed", 1)
    assert say(place, text=lines[0]) == b""
    assert say(place, text=lines[1]) == b"hello\n"


def test_sensor_on_a_unix_socket_keeps_nobody_out(supervise: Supervise, tmp_path: object) -> None:
    """A user of this machine has no address; it is only not served there."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    listen = f"unix:{tmp_path}/socket"
    supervisor = supervise(service("fork", SENSOR, program=ECHO, listen=listen))

    assert say(supervisor.place("s")) == b""
    supervisor.wait_events("connection_refused", 1, reason="denied")
    assert not supervisor.server.events("client_sensed")
