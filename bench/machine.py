"""The machine: what the numbers were measured on, and with which versions."""

import os
import platform
import subprocess
import sys

from bench.cgi import Backend
from bench.servers import INTERPRETER, Server
from bench.web import NEEDED


def describe() -> dict[str, str]:
    """Name the processor, its cores, the memory and the kernel."""
    model, memory_kib = platform.machine(), 0
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    with open("/proc/meminfo", encoding="ascii") as file:
        memory_kib = int(file.readline().split()[1])
    with open("/proc/loadavg", encoding="ascii") as file:
        load = file.read().split()[0]
    return {
        "processor": model,
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory_kib / 2**20:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "script": _first_line([INTERPRETER, "--version"]) or "?",
        "load before": load,
    }


def version(server: Server, command: str) -> str:
    """Return a server's version, as its package or the command itself gives it."""
    if server.worker is not None:
        said = _first_line([command, "-version"]) or "?"
        return said.split()[0].removeprefix("Socket-")
    return _package_version(server.package) if server.package else "-"


def web_versions(backends: list[Backend]) -> dict[str, str]:
    """Return the versions of what stands before and behind CGI programs, without ours."""
    packages = {name: package for name, package in NEEDED.items() if backends}
    told = ("", "ucspi-tcp", *packages.values())
    packages |= {one.key: one.package for one in backends if one.package not in told}
    return {key: _package_version(package) for key, package in packages.items()}


def _package_version(package: str) -> str:
    return (
        _first_line(["dpkg-query", "--show", "--showformat=${Version}", package])
        or _first_line(["rpm", "--query", "--queryformat=%{VERSION}-%{RELEASE}", package])
        or "?"
    )


def revision() -> str:
    """Return the commit that is measured, with a mark if files differ from it."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return _first_line(["git", "-C", root, "describe", "--always", "--dirty"]) or "?"


def own_command() -> str:
    """Return the socket command that is installed beside this interpreter."""
    return os.path.join(os.path.dirname(sys.executable), "socket")


def _first_line(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    except OSError:
        return None
    lines = done.stdout.strip().splitlines()
    return lines[0] if done.returncode == 0 and lines else None
