"""Check the package of Debian on a machine of its own: from its installation until nothing is left.

    python -m release.deb_check [FOLDER]          (make check-deb)

Owns what is expected of the package while it is installed, upgraded under load, put beside packages
with commands of the same names, removed and purged. The steps are in order: each begins with the
machine as the one before has left it. release/smoke.py asks the commands, release/clients.py makes
the load.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from release import trees
from release.deb import SUITE
from release.machine import Machine, MachineError, booted, why_not
from release.wheels import ROOT

_FILE = "/etc/socketd.toml"
_PLACE = "/tmp/check"  # noqa: S108  of a machine that nobody else is on
_INSTALL = ("apt-get", "-qq", "-y", "--no-install-recommends", "install")
_MODULES = "/usr/lib/python3/dist-packages/socketd"
# Each is answered as it asks; the second by a copy that waits for its input, the third by Python.
_SERVICES = """
[service.native]
listen = "tcp:127.0.0.1:7001"
program = ["cat"]
workers.min = 4

[service.held]
listen = "unix:/run/socketd/held.sock"
program = ["python3", "-c", "import sys; sys.stdout.write(sys.stdin.read())"]
ready = "read!"
workers.min = 4

[service.python]
listen = "tcp:127.0.0.1:7002"
program = ["cat"]
worker = "python"
workers.min = 4
"""
_ADDRESSES = ("7001", "/run/socketd/held.sock", "7002")
# Commands that other packages have too: link, the package, ours.
_SHARED = (
    ("socket", "/usr/bin/socket", "/usr/bin/socket.socketd"),
    ("fcgiwrap", "/usr/sbin/fcgiwrap", "/usr/bin/fcgiwrap.socketd"),
)
# What dpkg and systemd write down of whatever is installed or started.
_LISTING = """
find / -xdev \\( -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/cache -o -path /var/log \\
    -o -path /etc/ld.so.cache -o -name '*-old' \\) -prune -o -printf '%p %y %l\\n'
find /var/log /run -name '*socketd*'
find /etc -xdev -type f ! -name ld.so.cache ! -name '*-old' -exec sha256sum {} +
"""


class CheckError(Exception):
    """Something is not as it ought to be; the text says what."""


def expect(*, fact: bool, text: str) -> None:
    """Raise CheckError if it is not so."""
    if not fact:
        raise CheckError(text)


@dataclass(slots=True)
class Trial:
    """A machine, the package that is tried on it, and what was there before."""

    machine: Machine
    package: str
    before: set[str] = field(default_factory=set)

    def listing(self) -> set[str]:
        """Return what is on the machine: files, links, and what the settings say."""
        return set(self.machine.run("sh", "-c", _LISTING).splitlines())

    def install(self, package: str) -> str:
        """Install a file of a package, or one that apt has."""
        return self.machine.run(*_INSTALL, package)

    def wait_until_held(self) -> None:
        """Wait until all services are up, and see that copies of a program that waits serve one."""
        self.machine.run("socketd", "status", "--wait-ready", "--timeout", "60", _FILE)
        said = json.loads(self.machine.run("socketd", "status", "--json", _FILE))
        levels = {one["name"]: one["listeners"][0]["level"]["had"] for one in said["services"]}
        expect(fact=levels["held"] == "read", text=f"not held: {levels}")

    def property(self, name: str) -> str:
        """Return what systemd says of the service."""
        said = self.machine.run("systemctl", "show", "--value", f"--property={name}", "socketd")
        return said.strip()

    def state(self) -> dict[str, object]:
        """Return what the server says of itself."""
        said = json.loads(self.machine.run("socketd", "status", "--json", _FILE))
        assert isinstance(said["server"], dict)
        return said["server"]

    def changed(self, version: str, change: Callable[[Path], None] = lambda _: None) -> str:
        """Return a file of the package with a later version, and something else changed in it."""
        folder = f"{_PLACE}/{version}"
        self.machine.run("dpkg-deb", "--raw-extract", self.package, folder)
        control = self.machine.path(f"{folder}/DEBIAN/control")
        lines = control.read_text().splitlines()
        kept = [f"Version: {version}" if one.startswith("Version:") else one for one in lines]
        control.write_text("\n".join(kept) + "\n")
        (control.parent / "md5sums").unlink()
        modules = self.machine.path(folder + _MODULES)
        (modules / "__init__.py").write_text(f'"""Changed."""\n\n__version__ = "{version}"\n')
        change(modules)
        self.machine.run("dpkg-deb", "--build", folder, f"{folder}.deb")
        return f"{folder}.deb"

    @contextlib.contextmanager
    def load(self) -> Iterator[dict[str, object]]:
        """Have clients that come all the time; fill in what became of them. Nobody may be lost."""
        command = self.machine.command("python3", f"{_PLACE}/clients.py", *_ADDRESSES)
        pipe = subprocess.PIPE
        clients = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        assert clients.stdout is not None
        found: dict[str, object] = {}
        try:
            expect(fact=clients.stdout.readline() == "ready\n", text="the clients do not come")
            yield found
            said, _ = clients.communicate(timeout=120)
        finally:
            clients.kill()
            clients.wait()
        found.update(json.loads(said.splitlines()[-1]))
        lost = found["lost"]
        assert isinstance(lost, list)
        expect(fact=not lost, text=f"{len(lost)} of {found['made']} are lost: {lost[:5]}")


def check_installed(trial: Trial) -> str:
    """See the service enabled, but not without its file; commands and manuals in their places."""
    trial.before = trial.listing()
    trial.install(trial.package)
    run = trial.machine.run
    run("systemd-analyze", "verify", "--man=no", "socketd.service")
    run("systemctl", "start", "socketd")
    expect(fact=run("systemctl", "is-enabled", "socketd") == "enabled\n", text="not enabled")
    expect(fact=trial.property("ActiveState") == "inactive", text="it runs without a file")
    for name, link, ours in _SHARED:
        expect(fact=run("readlink", "-f", link) == f"{ours}\n", text=f"{name}: not ours")
        section = "8" if name == "fcgiwrap" else "1"
        run("test", "-e", f"/usr/share/man/man{section}/{name}.{section}.gz")
    said = run("socket", "--version")
    run("python3", f"{_PLACE}/smoke.py", "/usr/bin")
    return said.strip()


def check_contents(trial: Trial) -> str:
    """See that no file names a folder of the machine that has built it."""
    names = trial.machine.run("dpkg", "--listfiles", "socketd").split("\n")
    files = [trial.machine.path(name) for name in names if name]
    files = [path for path in files if path.is_file() and not path.is_symlink()]
    places = (b"/build/", b"/root/", os.fsencode(ROOT))
    found = {path.name for path in files for one in places if one in path.read_bytes()}
    # Examples for who reads them.
    expect(fact=not found, text=f"paths of another machine are in {sorted(found)}")
    link = trial.machine.run("readlink", "-f", f"{_MODULES}/native").strip()
    expect(fact=link == "/usr/libexec/socketd", text=f"the native programs are in {link}")
    return f"{len(files)} files"


def check_started(trial: Trial) -> str:
    """See it serve with a file, with native workers and a program that is held."""
    trial.machine.path(_FILE).write_text(_SERVICES)
    trial.machine.run("systemctl", "start", "socketd")
    trial.wait_until_held()
    with trial.load() as found:
        pass
    text = trial.machine.run("journalctl", "--unit=socketd", "--output=cat")
    expect(fact="native_worker_missing" not in text, text="there are no native workers")
    return f"{found['made']} clients"


def _upgrade_to(trial: Trial, package: str, version: str) -> str:
    """Install a package while clients come; see the same server be of this version, nobody lost."""
    before, restarts = trial.property("MainPID"), trial.property("NRestarts")
    with trial.load() as found:
        trial.install(package)
    after = trial.property("MainPID")
    expect(fact=(after, trial.property("NRestarts")) == (before, restarts), text="it was restarted")
    expect(fact=trial.property("ActiveState") == "active", text="it does not run")
    trial.wait_until_held()
    said = trial.state()["version"]
    expect(fact=said == version, text=f"it says that it is {said}")
    return f"{found['made']} clients, 0 lost"


def check_upgraded(trial: Trial) -> str:
    """See the running server become the new version, with nobody lost."""
    return _upgrade_to(trial, trial.changed("2.1.0"), "2.1.0")


def _break(modules: Path) -> None:
    """Make a server that would not start."""
    with (modules / "master" / "loop.py").open("a") as file:
        file.write('\nraise RuntimeError("broken")\n')


def check_broken(trial: Trial) -> str:
    """See the server go on as the version that it is where the new one would not start."""
    return _upgrade_to(trial, trial.changed("2.2.0", _break), "2.1.0")


def check_repaired(trial: Trial) -> str:
    """See the version after that taken."""
    return _upgrade_to(trial, trial.changed("2.3.0"), "2.3.0")


def check_shared(trial: Trial) -> str:
    """See others of the same name keep their command, whoever came first, and us have it after."""
    run = trial.machine.run
    for number, (name, link, ours) in enumerate(_SHARED):
        trial.install(name)
        expect(fact=run("readlink", "-f", link) == f"{link}\n", text=f"{link}: not theirs")
        run("test", "-x", ours)
        trial.install(trial.changed(f"2.4.{number}"))
        expect(fact=run("readlink", "-f", link) == f"{link}\n", text=f"{link}: not kept")
        run("dpkg", "--verify", name)
        run("apt-get", "-qq", "-y", "purge", "--autoremove", name)
        run("update-alternatives", "--auto", name)
        expect(fact=run("readlink", "-f", link) == f"{ours}\n", text=f"{link}: not ours again")
    return ", ".join(name for name, _, _ in _SHARED)


def check_removed(trial: Trial) -> str:
    """See it stop, and its file stay; and serve again when it is installed again."""
    run = trial.machine.run
    run("apt-get", "-qq", "-y", "remove", "socketd")
    expect(fact=trial.property("ActiveState") == "inactive", text="it was not stopped")
    expect(fact=trial.machine.try_out("pgrep", "-f", "socketd").returncode == 1, text="left alive")
    for name, link, _ in _SHARED:
        expect(fact=not trial.machine.path(link).is_symlink(), text=f"{name}: a link is left")
    run("test", "-e", _FILE)
    trial.install(trial.package)
    with trial.load() as found:
        pass
    return f"{found['made']} clients after it was installed again"


def check_purged(trial: Trial) -> str:
    """See nothing left that was not there before, and nothing of others gone."""
    run = trial.machine.run
    trial.machine.path("/var/log/socketd.log").write_text("")
    run("apt-get", "-qq", "-y", "purge", "socketd")
    after = trial.listing()
    left, gone = sorted(after - trial.before), sorted(trial.before - after)
    expect(fact=not left, text=f"left: {left[:20]}")
    expect(fact=not gone, text=f"gone: {gone[:20]}")
    for name, link, _ in _SHARED:
        trial.install(name)
        trial.install(trial.package)
        run("apt-get", "-qq", "-y", "purge", "socketd")
        expect(fact=run("readlink", "-f", link) == f"{link}\n", text=f"{link}: theirs is gone")
        run("dpkg", "--verify", name)
    return f"{len(after)} things as before"


STEPS: Sequence[tuple[str, Callable[[Trial], str]]] = (
    ("installed", check_installed),
    ("contents", check_contents),
    ("started", check_started),
    ("upgraded under load", check_upgraded),
    ("upgraded to what does not start", check_broken),
    ("upgraded again", check_repaired),
    ("beside others", check_shared),
    ("removed", check_removed),
    ("purged", check_purged),
)


def tree_for(package: Path) -> Path | None:
    """Return a tree with a systemd and all that a package needs, None where none can be made."""
    tree = trees.debian(SUITE, "ca-certificates", f"{SUITE}-boot")
    if tree is not None:
        trees.install(tree, "install", "systemd-sysv", "procps")
        asked = ["dpkg-deb", "--field", str(package), "Depends"]
        needed = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
        trees.install(tree, "satisfy", needed)
        trees.install(tree, "install", "--download-only", *(name for name, _, _ in _SHARED))
    return tree


def main(folder: str = "dist/deb") -> int:
    """Take every step; return 1 if one has failed, and 75 if none can be taken here."""
    (package,) = Path(folder).absolute().glob("socketd_*.deb")
    reason = why_not()
    tree = None if reason else tree_for(package)
    if tree is None:
        print(f"not checked: {reason or 'needs debootstrap'}")
        return int(os.environ.get("SOCKETD_REQUIRE_PEERS") == "1")
    with booted(tree) as machine:
        place = machine.path(_PLACE)
        place.mkdir(mode=0o755)
        for file in (package, ROOT / "release" / "smoke.py", ROOT / "release" / "clients.py"):
            shutil.copy(file, place)
        trial = Trial(machine, f"{_PLACE}/{package.name}")
        for name, step in STEPS:
            try:
                print(f"{name}: ok, {step(trial)}", flush=True)
            except (CheckError, MachineError) as error:
                print(f"{name}: FAILED: {error}", flush=True)
                print(machine.try_out("journalctl", "--unit=socketd", "--no-pager").stdout)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
