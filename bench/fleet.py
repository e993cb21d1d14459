"""Three hosts, a balancer and clients, each in a network namespace: what happens to whom.

Owns the namespaces, the processes in them, and the order of events. The balancer's file is the one
in contrib/fleet as it stands: its addresses exist in here. It needs root, iproute2 and HAProxy.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from bench.fleet_record import HOSTS, Attempt, Deed, Sight, Story, sights_of
from bench.launch import BenchError

_ROOT = Path(__file__).parents[1]
_SOCKETD = str(Path(sys.executable).with_name("socketd"))
_SOCKET = str(Path(sys.executable).with_name("socket"))
_ADDRESSES = {"one": 1, "two": 2, "three": 3, "balancer": 10, "client": 20}
_RATE = 20.0
_LOOK_SECONDS = 0.25
_PATIENCE_SECONDS = 20.0
_HELD = 6
_HOST = """\
control = "{folder}/{name}.control"
[agent]
listen = "tcp:0.0.0.0:9751"
allow = ["192.0.2.10"]
[service.echo]
program = "sh -c 'read line; sleep 0.1; echo {name}'"
listen = ["tcp:0.0.0.0:7000"]
proxy_protocol = ["192.0.2.10"]
workers.max = 8
stop_delay = "3s"
"""


class Fleet:
    """The namespaces and what runs in them, as a context."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.story = Story()
        self._prefix = f"socketd-{os.getpid()}"
        self._undoing = contextlib.ExitStack()
        self._hosts: dict[str, subprocess.Popen[bytes]] = {}
        self._begun = time.monotonic()
        self._seen: list[Sight] = []
        self._is_over = threading.Event()

    def __enter__(self) -> Self:
        """Make the namespaces, and start everything."""
        if os.geteuid() != 0 or not shutil.which("haproxy") or not shutil.which("ip"):
            raise BenchError("a fleet needs root, the command ip and HAProxy")
        try:
            self._make_network()
            for name in HOSTS:
                self.start(name)
            self._start_balancer()
        except BaseException:
            self._undoing.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End everything, and leave nothing."""
        self._undoing.close()

    @property
    def now(self) -> float:
        """Return the seconds since the begin."""
        return time.monotonic() - self._begun

    def start(self, name: str) -> None:
        """Start a host, or start it again."""
        file = self.folder / f"{name}.toml"
        file.write_text(_HOST.format(folder=self.folder, name=name))
        self._hosts[name] = self._run(name, _SOCKETD, "run", str(file))
        self.tell("status", name, "--wait-ready", "--timeout", "20s")

    def tell(self, order: str, name: str, *words: str) -> None:
        """Give a host an order."""
        command = [_SOCKETD, order, *words, "--control", str(self.folder / f"{name}.control")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=60)

    def stop(self, name: str) -> None:
        """Have a host stop, and wait for its end."""
        self.tell("stop", name)
        self._hosts[name].wait(30)

    def kill(self, name: str) -> None:
        """Cut a host off, as a loss of power would, and kill what runs there."""
        _ip("-n", self._name(name), "link", "set", "lan", "down")
        for pid in _ip("netns", "pids", self._name(name)).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        self._hosts[name].wait(10)

    def revive(self, name: str) -> None:
        """Have a host that was killed come back."""
        _ip("-n", self._name(name), "link", "set", "lan", "up")
        self.start(name)

    @contextlib.contextmanager
    def holding(self, name: str) -> Iterator[None]:
        """Keep most workers of a host busy."""
        command = [_SOCKET, "--send-proxy", "2", f"192.0.2.{_ADDRESSES[name]}", "7000"]
        held = [self._run("balancer", *command, stdin=subprocess.PIPE) for _ in range(_HELD)]
        try:
            yield
        finally:
            for one in held:
                one.kill()
                one.wait()
                assert one.stdin is not None
                one.stdin.close()

    @contextlib.contextmanager
    def looking(self) -> Iterator[None]:
        """Note what the balancer sees, from now on, whatever else is done."""
        self._begun = time.monotonic()
        thread = threading.Thread(target=self._look_on)
        thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            thread.join()

    def _look_on(self) -> None:
        while not self._is_over.wait(_LOOK_SECONDS):
            self._seen = self._look()
            self.story.sights += self._seen

    def _look(self) -> list[Sight]:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(self.folder / "stats"))
            asking.sendall(b"show stat socketd_hosts 4 -1\n")
            with asking.makefile() as answer:
                return sights_of(round(self.now, 3), answer.read())

    def wait(self, is_over: Callable[[list[Sight]], bool], what: str) -> None:
        """Wait until the balancer sees that something is so."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not is_over(self._seen):
            if time.monotonic() > deadline:
                raise BenchError(f"not within {_PATIENCE_SECONDS:g} s: {what}")
            time.sleep(_LOOK_SECONDS)

    @staticmethod
    def rest(seconds: float) -> None:
        """Let things go on for so long."""
        time.sleep(seconds)

    @contextlib.contextmanager
    def doing(self, name: str, host: str) -> Iterator[None]:
        """Note what is done to a host."""
        begun = self.now
        yield
        self.story.deeds.append(Deed(name, host, round(begun, 3), round(self.now, 3)))

    @contextlib.contextmanager
    def clients(self) -> Iterator[None]:
        """Have clients come, and note what becomes of each."""
        command = [sys.executable, "-m", "bench.fleet", "192.0.2.10", "7000", str(_RATE)]
        client = self._run("client", *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        begun = self.now
        assert client.stdin is not None
        try:
            yield
        finally:
            said = client.communicate(timeout=60)[0]
        for line in said.splitlines():
            at, ended, host, is_first = json.loads(line)
            self.story.attempts.append(Attempt(at + begun, ended + begun, host, is_first))

    def _make_network(self) -> None:
        for name, number in _ADDRESSES.items():
            space = self._name(name)
            _ip("netns", "add", space)
            self._undoing.callback(self._remove, space)
            _ip("-n", space, "link", "set", "lo", "up")
            if name == "balancer":
                continue
            other = f"to-{name}"
            _ip("-n", space, "link", "add", "lan", "type", "veth", "peer", "name", other)
            _ip("-n", space, "addr", "add", f"192.0.2.{number}/24", "dev", "lan")
            _ip("-n", space, "link", "set", "lan", "up")
        hub = self._name("balancer")
        _ip("-n", hub, "link", "add", "lan", "type", "bridge")
        _ip("-n", hub, "addr", "add", "192.0.2.10/24", "dev", "lan")
        _ip("-n", hub, "link", "set", "lan", "up")
        for name in _ADDRESSES:
            if name != "balancer":
                _ip("-n", self._name(name), "link", "set", f"to-{name}", "netns", hub)
                _ip("-n", hub, "link", "set", f"to-{name}", "master", "lan", "up")

    def _remove(self, space: str) -> None:
        for pid in _ip("netns", "pids", space).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        _ip("netns", "del", space)

    def _start_balancer(self) -> None:
        stats = self.folder / "stats.cfg"
        stats.write_text(f"global\n    stats socket {self.folder}/stats\n")
        shipped = str(_ROOT / "contrib" / "fleet" / "haproxy.cfg")
        self._run("balancer", "haproxy", "-db", "-f", shipped, "-f", str(stats))
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not (self.folder / "stats").exists():
            if time.monotonic() > deadline:
                raise BenchError("HAProxy does not start")
            time.sleep(_LOOK_SECONDS)
        while not all(one.status == "UP" for one in self._look()):
            if time.monotonic() > deadline:
                raise BenchError("HAProxy does not see all hosts")
            time.sleep(_LOOK_SECONDS)

    def _run(
        self,
        name: str,
        *command: str,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.DEVNULL,
    ) -> "subprocess.Popen[bytes]":
        whole = ["ip", "netns", "exec", self._name(name), *command]
        with open(self.folder / "log", "ab") as log:
            process = subprocess.Popen(whole, stdin=stdin, stdout=stdout, stderr=log, cwd=_ROOT)
        self._undoing.callback(_end, process)
        return process

    def _name(self, name: str) -> str:
        return f"{self._prefix}-{name}"


def play(folder: Path) -> Story:
    """Do everything to a fleet that is under load, and return what happened."""
    with Fleet(folder) as fleet:
        with fleet.looking(), fleet.clients():
            fleet.rest(3)
            with fleet.doing("overloaded", "three"), fleet.holding("three"):
                fleet.rest(7)
            fleet.wait(_is_up("three", 50), "three is free again")
            fleet.rest(2)
            with fleet.doing("drained", "one"):
                fleet.tell("drain", "one", "echo")
                fleet.rest(6)
                fleet.tell("resume", "one", "echo")
                fleet.wait(_is_up("one", 1), "one is back")
            fleet.rest(2)
            with fleet.doing("re-executed", "two"):
                fleet.tell("reexec", "two")
            fleet.rest(2)
            with fleet.doing("stopped, started", "two"):
                fleet.stop("two")
                fleet.start("two")
                fleet.wait(_is_up("two", 1), "two is back")
            fleet.rest(2)
            fleet.kill("three")
            with fleet.doing("killed", "three"):
                fleet.rest(6)
                fleet.revive("three")
                fleet.wait(_is_up("three", 1), "three is back")
            fleet.rest(4)
        return fleet.story


def _is_up(host: str, weight: int) -> Callable[[list[Sight]], bool]:
    return lambda seen: any(one.host == host and one.share >= weight for one in seen)


def _ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], check=False, capture_output=True, text=True)
    if done.returncode:
        raise BenchError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.kill()
    process.wait()
    for file in (process.stdin, process.stdout):
        if file is not None:
            file.close()


async def _attempt(address: str, port: int) -> str:
    """Return who has answered, nothing if the connection was lost."""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            reader, writer = await asyncio.open_connection(address, port)
            writer.write(b"hello\n")
            said = await reader.read()
            writer.close()
    except OSError:
        return ""
    return said.decode().strip()


async def _come(address: str, port: int, rate: float) -> None:
    """Connect at this rate until stdin ends; who is lost tries again, once."""
    begun, loop = time.monotonic(), asyncio.get_running_loop()
    over = loop.run_in_executor(None, sys.stdin.read)

    async def one() -> None:
        for is_first in (True, False):
            at = time.monotonic() - begun
            host = await _attempt(address, port)
            line = [round(at, 3), round(time.monotonic() - begun, 3), host, is_first]
            print(json.dumps(line), flush=True)
            if host:
                return

    clients: set[asyncio.Task[None]] = set()
    for number in range(1 << 30):
        if over.done():
            break
        client = asyncio.create_task(one())
        clients.add(client)
        client.add_done_callback(clients.discard)
        await asyncio.sleep(max(0.0, begun + (number + 1) / rate - time.monotonic()))
    await asyncio.gather(*clients)


if __name__ == "__main__":
    asyncio.run(_come(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
