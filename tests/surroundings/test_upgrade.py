"""SIGUSR2 after an upgrade: the command is executed as it was called, whatever it leads to now."""

import os
import shutil
import signal
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

import socketd
from harness.clients import exchange
from harness.servers import Line, Server
from harness.supervisors import SOCKETD
from harness.waiting import wait_for
from socketd.system.products import is_built

Serve = Callable[..., Server]

pytestmark = pytest.mark.slow

SCRIPT = """import sys
from socketd.cli.entry import main_socketd
sys.exit(main_socketd())
"""
# Of an installation in a folder whose path is too long for the kernel, or holds a blank.
SHELL_SCRIPT = "#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''\n" + SCRIPT


def install(folder: Path, version: str, *, is_shell: bool = False) -> None:
    """Make a virtual environment with this package, of another version."""
    packages = folder / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    source = Path(socketd.__file__).parent
    shutil.copytree(source, packages / "socketd", ignore=shutil.ignore_patterns("__pycache__"))
    module = packages / "socketd" / "__init__.py"
    module.write_text(f'"""Another version."""\n\n__version__ = "{version}"\n', "utf-8")
    # What this package needs comes from where it runs now.
    (packages / "rest.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    executables = folder / "bin"
    executables.mkdir()
    python = executables / "python"
    python.symlink_to(os.path.realpath(sys.executable))
    home = os.path.dirname(os.path.realpath(sys.executable))
    (folder / "pyvenv.cfg").write_text(f"home = {home}\n", "utf-8")
    script = executables / "socketd"
    first = SHELL_SCRIPT.format(python=python) if is_shell else f"#!{python}\n{SCRIPT}"
    script.write_text(first, "utf-8")
    script.chmod(0o755)


def switch(link: Path, target: Path) -> None:
    """Have a link lead elsewhere, at one stroke."""
    fresh = link.with_name("fresh")
    fresh.symlink_to(target)
    fresh.replace(link)


def replace(server: Server) -> Line:
    """Have the master replace itself; return what the new version says."""
    server.signal(signal.SIGUSR2)
    server.wait_any(["reexec_done", "reexec_failed"], 1)
    assert server.events("reexec_failed") == [], server.log_text()
    return server.events("reexec_done")[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with two versions, and a link to the first."""
    install(tmp_path / "one", "1.0.1")
    install(tmp_path / "two", "2.0.2")
    (tmp_path / "current").symlink_to(tmp_path / "one")
    return tmp_path


@pytest.mark.parametrize(
    "called",
    [
        "{folder}/current/bin/socketd",
        "{folder}/current/bin/python {folder}/current/bin/socketd",
        "./current/bin/socketd",
        "./socketd",
        "socketd",
    ],
)
def test_master_becomes_what_the_link_leads_to(
    serve: Serve, folder: Path, services: Path, called: str
) -> None:
    """By its path, with a Python that is named, from a directory, on PATH: the same words again."""
    words = called.format(folder=folder).split()
    cwd = folder
    if called == "./socketd":
        cwd = folder / "current" / "bin"
    command = ("sh", "-c", 'cd "$0" && exec "$@"', str(cwd), *words, "run", "--log-format", "json")
    path = f"{folder}/current/bin:{os.environ['PATH']}"
    server = serve(str(services), command=command, environment={"PATH": path})
    server.wait_event("service_ready")
    switch(folder / "current", folder / "two")
    done = replace(server)

    assert (done["former"], done["version"]) == ("1.0.1", "2.0.2")
    assert exchange(server.place, b"hello") == b"hello"
    assert server.stop() == 0


def test_master_becomes_the_next_version_of_a_script_of_the_shell(
    serve: Serve, tmp_path: Path, services: Path
) -> None:
    """Where the path of Python does not fit into the first line, the script still finds it."""
    install(tmp_path / "one", "1.0.1", is_shell=True)
    install(tmp_path / "two", "2.0.2", is_shell=True)
    (tmp_path / "current").symlink_to(tmp_path / "one")
    command = (f"{tmp_path}/current/bin/socketd", "run", "--log-format", "json")
    server = serve(str(services), command=command)
    server.wait_event("service_ready")
    switch(tmp_path / "current", tmp_path / "two")
    done = replace(server)

    assert (done["former"], done["version"]) == ("1.0.1", "2.0.2")
    assert server.stop() == 0


def test_version_that_is_not_whole_is_not_taken(serve: Serve, folder: Path, services: Path) -> None:
    """What only a server needs is tried before it takes the place of the one that serves."""
    master = next((folder / "two").rglob("master/loop.py"))
    with master.open("a") as file:
        file.write('\nraise ImportError("not whole")\n')
    command = (f"{folder}/current/bin/socketd", "run", "--log-format", "json")
    server = serve(str(services), command=command, is_quiet=False)
    server.wait_event("service_ready")
    switch(folder / "current", folder / "two")
    server.signal(signal.SIGUSR2)

    assert "ImportError: not whole" in str(server.wait_event("reexec_failed")["reason"])
    assert exchange(server.place, b"hello") == b"hello"
    assert server.stop() == 0


def test_version_is_told_where_it_is_the_same(serve: Serve, folder: Path, services: Path) -> None:
    """Without a change of the link the new version is the old one, and the log says so."""
    command = (f"{folder}/current/bin/socketd", "run", "--log-format", "json")
    server = serve(str(services), command=command)
    server.wait_event("service_ready")
    done = replace(server)

    assert (done["former"], done["version"]) == ("1.0.1", "1.0.1")
    assert server.stop() == 0


def overwrite(folder: Path, product: str) -> None:
    """Put a file of another version in the place of a product, as an upgrade does."""
    [path] = folder.glob(f"lib/*/site-packages/socketd/native/{product}")
    path.unlink()
    path.write_text("#!/bin/sh\nexit 100\n", "utf-8")
    path.chmod(0o755)


def test_template_is_of_the_version_of_its_master(
    serve: Serve, tmp_path: Path, services: Path
) -> None:
    """A template that dies after an upgrade is replaced by one that knows the running master."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    install(tmp_path / "one", "1.0.1")
    command = (f"{tmp_path}/one/bin/socketd", "run", "--log-format", "json", "--log-level", "debug")
    server = serve(str(services), command=command, is_quiet=False)
    server.wait_event("service_ready")
    template = server.events("template_started")[0]["pid"]
    overwrite(tmp_path / "one", "socketd-zygote")
    os.kill(template, signal.SIGKILL)
    server.wait_any(["template_started"], 2)

    for _ in range(8):
        assert exchange(server.place, b"hello") == b"hello"
    assert len(server.events("template_failed")) == 1
    assert server.stop() == 0


def test_object_of_another_version_is_not_loaded(serve: Serve, tmp_path: Path) -> None:
    """After an upgrade no program is held until the new version runs, and the log says why."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    install(tmp_path / "one", "1.0.1")
    file = tmp_path / "services.toml"
    file.write_text(
        f'[service.echo]\nlisten = ["unix:{tmp_path}/echo.sock"]\nprogram = "cat"\n'
        'ready = "load"\n',
        "utf-8",
    )
    command = (f"{tmp_path}/one/bin/socketd", "run", "--log-format", "json", "--log-level", "debug")
    server = serve(str(file), command=command, is_quiet=False)
    server.wait_event("template_started", lambda line: line["ready"] == "load")
    overwrite(tmp_path / "one", "socketd-hold.so")
    server.signal(signal.SIGHUP)
    server.wait_event("template_started", lambda line: line["ready"] == "fork")

    assert "SIGUSR2" in server.events("template_fell_back")[0]["reason"]
    assert exchange(server.place, b"hello") == b"hello"
    assert server.stop() == 0


def test_version_without_its_log_is_not_put_in_our_place(
    serve: Serve, services: Path, tmp_path: Path
) -> None:
    """A log file that could not be opened again would end the new version: the old one goes on."""
    log = tmp_path / "logs" / "log"
    log.parent.mkdir()
    command = (SOCKETD, "run", "--log-format", "json", "--log-file", str(log))
    server = serve(str(services), command=command)
    place = str(tmp_path / "echo.sock")
    wait_for(lambda: log.exists() and "service_ready" in log.read_text("utf-8"), "it is up")
    with log.open(encoding="utf-8") as reader:
        shutil.rmtree(log.parent)
        server.signal(signal.SIGUSR2)
        last = wait_for(
            lambda: next((line for line in reader if "reexec_failed" in line), ""), "it has failed"
        )

    assert "cannot open the log file" in last
    assert exchange(place, b"hello") == b"hello"
    assert server.stop() == 0


def test_bytes_that_are_no_text_are_passed_on(serve: Serve, tmp_path: Path) -> None:
    """A variable or a path may hold any bytes: nothing ends of them, the next version has them."""
    odd = os.fsdecode(b"\xff\xfe odd")
    file = tmp_path / os.fsdecode(b"services-\xff.toml")
    file.write_text(
        f'[service.echo]\nlisten = ["unix:{tmp_path}/echo.sock"]\nprogram = "printenv ODD"\n',
        "utf-8",
    )
    command = (SOCKETD, "run", "--log-format", "json")
    server = serve(str(file), command=command, environment={"ODD": odd})
    assert exchange(server.place, b"") == os.fsencode(odd) + b"\n"
    replace(server)

    assert exchange(server.place, b"") == os.fsencode(odd) + b"\n"
    assert server.stop() == 0
