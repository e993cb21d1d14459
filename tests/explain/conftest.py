"""Fixtures of the tests that have programs explained."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.commands import Command, StartCommand
from harness.supervisors import SOCKETD
from socketd.system.products import is_built

Begin = Callable[..., Command]
Explain = Callable[..., dict[str, Any]]


@pytest.fixture
def begin(start: StartCommand, open_folder: Path) -> Begin:
    """Start `socketd explain`, which must leave nothing behind, its folder included."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")

    def begin_explaining(*arguments: str, subcommand: str = "explain") -> Command:
        patience = ("--hold-timeout", "20s") if subcommand == "explain" else ()
        words = (subcommand, *patience, *arguments)
        return start(*words, executable=SOCKETD, TMPDIR=str(open_folder))

    return begin_explaining


@pytest.fixture
def explain(begin: Begin, open_folder: Path) -> Explain:
    """Have a program explained; return what is printed as JSON, with the levels by their names."""

    def explain_it(*arguments: str) -> dict[str, Any]:
        command = begin("--json", *arguments)
        output, status = command.finish()

        assert (status, command.stderr) == (0, "")
        assert list(open_folder.glob("socketd-*")) == []

        told: dict[str, Any] = json.loads(output)
        return told | {"levels": {one["level"]: one for one in told["levels"]}}

    return explain_it
