"""The builds of the native template, and what the tests share."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .fake_master import FakeMaster

NATIVE = Path(__file__).parents[2] / "native"


@pytest.fixture(scope="session")
def compiler() -> str:
    """Return the C compiler of this machine."""
    found = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if found is None:
        pytest.skip("no C compiler")
    return found


@pytest.fixture(scope="session", params=["all", "sanitize"])
def zygote(
    request: pytest.FixtureRequest, compiler: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the program as shipped, then as one that checks its own memory."""
    make = shutil.which("make")
    if make is None:
        pytest.skip("no make")
    product = tmp_path_factory.mktemp("zygote") / "socketd-zygote"
    command = [make, "-C", str(NATIVE), request.param, f"OUT={product}", f"CC={compiler}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "cannot find" in done.stderr and request.param == "sanitize":
        pytest.skip("the C compiler has no sanitizers")

    assert done.returncode == 0, done.stderr

    return product


@pytest.fixture
def master(zygote: Path) -> Iterator[FakeMaster]:
    """Return a master that has started nothing yet."""
    with FakeMaster(zygote) as master:
        yield master


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Return a listening socket on the IPv4 loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener
