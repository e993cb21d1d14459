"""What holds for the whole suite: with all peers installed, no test skips for want of one."""

import contextlib
import os
import signal
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from harness.commands import Command, StartCommand
from harness.extent import ARE_PEERS_REQUIRED, REQUIRE_PEERS
from harness.native import BUILD_SECONDS, variants
from harness.processes import kill_marked, marked
from harness.reach import skip_if_out_of_reach
from harness.sanitized import IS_WANTED, Sanitized, is_checked

# What no package brings: properties of the machine and its network.
EXCUSES = (
    "no interface has a link-local address",
    "no IPv6 on this machine",
    "gives up root",
    "needs root",
    "only root can change user",
    "lacks CAP_",
    "this machine has a journal",
    "this machine has one core",
    "this machine has all controllers in version 2",
    "no control group of version 2 can be made here",
    "version 2 of cgroups has no",
    "no other user can reach this checkout",
)

# Fixtures that may have to compile.
BUILDING = frozenset({"native_build", "sanitize", "fuzzer"})

# How long an example takes says more of the machine than of us.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")

# A shell has commands in the background ignore the first, nohup(1) the second, and so does whoever
# is started by one, through any exec.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# What a caller has left open is no matter of a program that a test starts.
for name in os.listdir("/proc/self/fd"):
    if int(name) > 2:
        with contextlib.suppress(OSError):  # the folder's own, closed by now
            os.set_inheritable(int(name), False)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run if a test was skipped without an excuse and peers are required."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not ARE_PEERS_REQUIRED:
        return
    reasons = {report.longrepr[2] for report in reporter.stats.get("skipped", ())}
    missing = sorted(r for r in reasons if not any(excuse in r for excuse in EXCUSES))
    if missing:
        reporter.write_line(f"{REQUIRE_PEERS} is set, yet: {'; '.join(missing)}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test of a native program with the builds of it that the test needs."""
    if "native_build" in metafunc.fixturenames:
        builds = variants(metafunc)
        metafunc.parametrize("native_build", builds, indirect=True, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what has nothing to check; give a test time to build, or to wait for who does.

    Any test may be the first to ask for a build.
    """
    if IS_WANTED:
        config.hook.pytest_deselected(items=[item for item in items if not is_checked(item)])
        items[:] = filter(is_checked, items)
    for item in items:
        is_building = not BUILDING.isdisjoint(getattr(item, "fixturenames", ()))
        if is_building and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(BUILD_SECONDS))


@pytest.fixture(scope="session")
def native_build(request: pytest.FixtureRequest) -> str:
    """Return how native programs are built: as shipped, or so that they check their memory."""
    return str(request.param)


@pytest.fixture(scope="session")
def sanitize() -> Iterator[Callable[[str], Sanitized]]:
    """Return a function that compiles the object that holds programs, checks included."""
    made: dict[str, Sanitized] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # servers of other users load it

        def build(target: str) -> Sanitized:
            if target not in made:
                made[target] = Sanitized.build(target, folder)
            return made[target]

        yield build


@pytest.fixture
def reachable() -> None:
    """Skip a test whose programs are other users' where those cannot reach this checkout."""
    skip_if_out_of_reach()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Lend a folder into which every user may look."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture
def start() -> Iterator[StartCommand]:
    """Start commands that are killed at the end, and must leave nothing behind."""
    with contextlib.ExitStack() as stack:

        def begin(*arguments: str, **options: object) -> Command:
            command = Command(*arguments, **options)  # type: ignore[arg-type]  # options of Command
            stack.callback(command.close)
            return command

        yield begin


@pytest.fixture
def mark() -> Iterator[str]:
    """Return a mark that nothing alive carries at the end."""
    mark = uuid.uuid4().hex
    yield mark
    left = marked(mark)
    kill_marked(mark)
    assert left == []
