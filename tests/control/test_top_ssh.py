"""`socketd top` where it is needed at night: on another machine, through a real ssh."""

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.processes import children_of, view
from harness.servers import Server
from harness.supervisors import SOCKETD, Supervisor
from harness.waiting import wait_for
from socketd.system.products import is_built

pytest.importorskip("textual", reason="textual is not installed")
pytest.importorskip("pyte", reason="pyte is not installed")

from harness.screens import ScreenedCommand

# What sshd wants and writes of its own is in folders that only it sees, and that end with it. So is
# who logs in: what a user of this machine has its shell do at a login is none of our business.
PRIVATE = (
    "mount -t tmpfs none /run && mount -t tmpfs none /var/log && mkdir -m 755 /run/sshd"
    " && mount --bind {folder}/passwd /etc/passwd"
)
LAST_OF_LISTENERS = "q Quit  / Find"


@dataclass(frozen=True)
class Login:
    """How to log in, and the file of the server that is looked at there."""

    command: list[str]
    file: Path

    def watch(self, *options: str, term: str = "xterm-256color") -> ScreenedCommand:
        """Log in on a terminal, and watch; the shell there says what it was left with."""
        top = shlex.join([SOCKETD, "top", "--interval", "100ms", str(self.file)])
        there = (
            f"was=$(stty -g); echo $$ > {self.pid_file}; {top} {shlex.join(options)}; "
            'echo "left with $?"; [ "$was" = "$(stty -g)" ] && echo "the terminal is as it was"'
        )
        return ScreenedCommand(*self.command, there, TERM=term)

    @property
    def pid_file(self) -> Path:
        """Return the file with the process id of the shell at the other end."""
        return self.file.with_name("pid")


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    """Have a server of two services, which all tests look at."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    file = tmp_path_factory.mktemp("watched") / "socketd.toml"
    text = '[service.%s]\nlisten = ["tcp:127.0.0.1:0"]\nprogram = "cat"\n'
    file.write_text(f'control = "{file}.control"\n{text % "echo"}{text % "web"}')
    supervisor = Supervisor(file)
    try:
        supervisor.wait_ready()
        yield supervisor
    finally:
        supervisor.server.close()


@pytest.fixture(scope="module")
def login(watched: Supervisor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Login]:
    """Have an sshd for all tests: it is a program behind one of our own sockets."""
    if shutil.which("sshd", path="/usr/sbin") is None or shutil.which("ssh") is None:
        pytest.skip("openssh-server or openssh-client is not installed")
    if os.geteuid() != 0:
        pytest.skip("needs root")
    folder = tmp_path_factory.mktemp("ssh")
    for name in ("host", "user"):
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(keygen, check=True)
    configuration = folder / "sshd_config"
    configuration.write_text(
        f"HostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\nStrictModes no\n"
        "PermitRootLogin yes\nPasswordAuthentication no\nUsePAM no\nPrintLastLog no\n"
    )
    others = [line for line in Path("/etc/passwd").read_text().splitlines() if ":0:0:" not in line]
    root = f"root:x:0:0:root:{folder}:/bin/sh"
    (folder / "passwd").write_text("\n".join([root, *others, ""]))
    program = f"/usr/sbin/sshd -i -e -f {configuration}"
    options = f"-l -B 127.0.0.1 -s 0 --ready fork --stderr null -p {shlex.quote(program)}"
    alone = ["unshare", "-m", "sh", "-c", f'{PRIVATE.format(folder=folder)} && exec "$@"', "sh"]
    server = Server(shlex.split(options), prefix=alone, is_quiet=False)
    try:
        address, port = server.place[0], server.place[1]
        known = folder / "known_hosts"
        known.write_text(f"[{address}]:{port} {(folder / 'host.pub').read_text()}")
        said = f"UserKnownHostsFile={known}", "IdentitiesOnly=yes", "IdentityAgent=none"
        ssh = [str(shutil.which("ssh")), "-tt", "-F", "none", "-i", str(folder / "user")]
        ssh += [f"-o{one}" for one in said] + ["-p", str(port), f"root@{address}"]
        yield Login(ssh, watched.file)
    finally:
        server.close()


@pytest.mark.parametrize("term", ["xterm", "screen", "linux"])
def test_person_watches_from_afar(login: Login, term: str) -> None:
    """All is there on 80 columns and 24 lines; keys and another size arrive; q gives all back."""
    with login.watch(term=term) as screen:
        before = screen.attributes
        screen.wait_for("TREND\necho", "\nweb", LAST_OF_LISTENERS)
        screen.press("\x1b[Cr")
        screen.wait_for("TREND\nweb", "\necho")
        screen.press("\r")
        screen.wait_for("CONNECTED", "q Quit", without="SERVICE")
        screen.resize(60, 20)
        screen.wait_for("CONNECTED", "q Quit")
        screen.press("\x7f")
        screen.wait_for("SERVICE", "q Quit")
        screen.press("q")
        screen.wait_for("left with 0", "the terminal is as it was")
        assert screen.wait_end() == 0
        assert screen.attributes == before


def test_terminal_that_can_do_nothing_gets_text(login: Login) -> None:
    """The table is written again and again, and Ctrl-C arrives."""
    with login.watch(term="dumb") as screen:
        screen.wait_for("echo", "web", "Ctrl-C ends.")
        screen.press("\x03")
        screen.wait_end()
        assert b"\x1b" not in screen.raw


@pytest.mark.parametrize("options", [(), ("--plain",)], ids=["screen", "plain"])
def test_nothing_stays_of_a_lost_connection(login: Login, options: tuple[str, ...]) -> None:
    """Who is cut off leaves no process at the other end."""
    with login.watch(*options) as screen:
        screen.wait_for("echo", "web")
        pid = int(login.pid_file.read_text())
        [top] = [one.pid for one in children_of(pid)]
        os.kill(screen.pid, signal.SIGKILL)
        wait_for(lambda: view(pid) is None and view(top) is None, "both are gone")
