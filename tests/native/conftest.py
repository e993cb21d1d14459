"""The builds of the native template, and what the tests share."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.native import build_variant, find_compiler

from .fake_master import FakeMaster


@pytest.fixture(scope="session")
def compiler() -> str:
    """Return the C compiler of this machine."""
    return find_compiler()


@pytest.fixture(scope="session")
def zygote(native_build: str) -> Path:
    """Return the program as shipped, or as one that checks its own memory."""
    return build_variant(native_build, "all", "sanitize", OUT="socketd-zygote") / "socketd-zygote"


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
