"""A stand-in for systemctl where no systemd runs: start, reload and stop what a unit says.

It knows the few settings that the units of `socketd init` have, and waits as systemd does: for
READY=1, for the end of ExecReload=, for the end of the main process.
"""

import configparser
import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

UNITS = Path("/etc/systemd/system")
TIMEOUT_SECONDS = 30


def service_of(name: str) -> configparser.SectionProxy:
    """Return the section of a unit that is about its processes."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # keys keep their case
    parser.read(UNITS / os.path.basename(name))
    return parser["Service"]


def pid_file(name: str) -> Path:
    """Return where the main process is noted."""
    return Path("/run") / f"{os.path.basename(name)}.pid"


def start(name: str) -> int:
    """Start the main process, and wait until it is ready."""
    service = service_of(name)
    folder = f"/run/{service['RuntimeDirectory']}"
    os.makedirs(folder, exist_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(f"\0systemctl-{os.getpid()}")
        notified.settimeout(TIMEOUT_SECONDS)
        variables = {
            "PATH": os.environ["PATH"],
            "RUNTIME_DIRECTORY": folder,
            "NOTIFY_SOCKET": f"@systemctl-{os.getpid()}",
        }
        with open("/var/log/journal", "ab") as journal:
            process = subprocess.Popen(
                shlex.split(service["ExecStart"]),
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=journal,
                stderr=journal,
                start_new_session=True,
            )
        pid_file(name).write_text(str(process.pid))
        while b"READY=1" not in notified.recv(4096):
            pass
    return 0


def reload(name: str) -> int:
    """Run what reloads, with its output where the journal is."""
    service = service_of(name)
    variables = {**os.environ, "RUNTIME_DIRECTORY": f"/run/{service['RuntimeDirectory']}"}
    command = shlex.split(service["ExecReload"])
    with open("/var/log/journal", "ab") as journal:
        done = subprocess.run(
            command, env=variables, stdout=journal, stderr=journal, check=False,
            timeout=TIMEOUT_SECONDS,
        )  # fmt: skip
    return done.returncode


def stop(name: str) -> int:
    """End the main process, and wait for that: it is not our child any more."""
    pid = int(pid_file(name).read_text())
    fd = os.pidfd_open(pid)
    signal.pidfd_send_signal(fd, signal.SIGTERM)
    with contextlib.suppress(ChildProcessError):
        import select

        select.select([fd], [], [], TIMEOUT_SECONDS)
    return 0


def main() -> int:
    """Do one command; options do not matter here."""
    command, *names = [word for word in sys.argv[1:] if not word.startswith("-")]
    actions = {"enable": start, "start": start, "reload": reload, "stop": stop}
    if command == "daemon-reload":
        return 0
    return max(actions[command](name) for name in names)


if __name__ == "__main__":
    sys.exit(main())
