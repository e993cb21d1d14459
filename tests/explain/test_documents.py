"""The table of real programs in the documents is still true."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from socketd.system.products import is_built

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def _module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("explained", ROOT / "docs" / "explained.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


EXPLAINED = _module()


def _rows() -> dict[str, list[str]]:
    """Return the rows of the table by the command."""
    lines = EXPLAINED.PAGE.read_text().splitlines()
    start = lines.index(EXPLAINED.HEAD) + 2
    rows: dict[str, list[str]] = {}
    for line in lines[start : start + len(EXPLAINED.SAMPLES)]:
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        rows[cells[0].strip("`")] = cells
    return rows


def test_every_program_has_its_row() -> None:
    """The table is the one of `make explained`."""
    assert list(_rows()) == [one.text for one in EXPLAINED.SAMPLES]


@pytest.mark.parametrize("sample", EXPLAINED.SAMPLES, ids=lambda one: " ".join(one.words[:2]))
def test_program_is_held_or_refused_as_its_row_says(sample: Any) -> None:  # noqa: ANN401  of a module that is no package
    """Run `make explained` if a program is held by now, or refused for another reason."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    if not EXPLAINED.is_installed(sample):
        pytest.skip(f"{sample.words[0]} is not installed")

    told = EXPLAINED.explain(sample, "--no-connection", "--level", "load", "--level", "read")

    assert EXPLAINED.verdict(told) == tuple(_rows()[sample.text][-2:])
