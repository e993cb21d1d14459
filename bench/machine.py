"""The machine: what the numbers were measured on, and with which versions."""

import os
import platform
import subprocess
import sys

from bench.servers import INTERPRETER, Server


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
    if not server.package:
        return "-"
    return (
        _first_line(["dpkg-query", "--show", "--showformat=${Version}", server.package])
        or _first_line(["rpm", "--query", "--queryformat=%{VERSION}-%{RELEASE}", server.package])
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
