"""The units that we ship: without a mistake, shut tight, and with the command that is installed."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.servers import SOCKET

pytestmark = pytest.mark.slow

UNITS = Path(__file__).parents[2] / "contrib" / "systemd"
INSTALLED = "/usr/local/bin/socket"
WORST_EXPOSURE = 2.0
ANALYZE = shutil.which("systemd-analyze")
needs_analyze = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")

SERVICES = sorted(path.name for path in UNITS.glob("*.service"))


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """Return a folder with our units, the command at the place where the tests have it."""
    for path in UNITS.glob("*.s*"):
        text = path.read_text().replace(INSTALLED, SOCKET)
        (tmp_path / path.name).write_text(text)
    return tmp_path


def instance_of(name: str) -> str:
    """Return the name of a unit, for a template that of an instance."""
    return name.replace("@.", "@web.")


def analyze(units: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze where it finds the system's units and ours, ours first."""
    return subprocess.run(
        [str(ANALYZE), *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=units,
        env={"SYSTEMD_UNIT_PATH": f"{units}:", "SYSTEMD_COLORS": "0", "PATH": "/usr/bin:/bin"},
    )


@needs_analyze
def test_units_have_no_mistake(units: Path) -> None:
    """Systemd has nothing to say about any of them, socket or service, instance or not."""
    names = [instance_of(path.name) for path in sorted(units.iterdir())]

    done = analyze(units, "verify", "--man=no", *names)

    ours = [line for line in done.stderr.splitlines() if any(name in line for name in names)]
    assert (done.returncode, ours) == (0, []), done.stderr


@needs_analyze
@pytest.mark.parametrize("name", SERVICES)
def test_services_are_shut_tight(units: Path, name: str) -> None:
    """The exposure, of 10, is at most 2."""
    path = units / instance_of(name)
    if not path.exists():
        shutil.copy(units / name, path)

    done = analyze(units, "security", "--offline=true", "--no-pager", str(path))

    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= WORST_EXPOSURE, done.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_service_waits_for_what_it_serves(name: str) -> None:
    """Each has its socket unit, and its stop takes longer than the connections may."""
    text = (UNITS / name).read_text()

    assert (UNITS / name.replace(".service", ".socket")).exists()
    assert "KillMode=mixed\n" in text
    assert "Type=notify\n" in text
    assert int(re.findall(r"^TimeoutStopSec=(\d+)s$", text, re.MULTILINE)[0]) > 30 + 5


@pytest.mark.parametrize("name", SERVICES)
def test_units_call_the_command_with_options_that_it_has(name: str) -> None:
    """The options stand in --help, and there is no port."""
    command = re.findall(r"^ExecStart=(.+)$", (UNITS / name).read_text(), re.MULTILINE)[0].split()
    known = subprocess.run([SOCKET, "--help"], capture_output=True, text=True, check=True).stdout

    assert command[0] == INSTALLED
    assert command[-1] == "-s"
    assert all(f"{word}" in known for word in command[1:] if word.startswith("-"))
