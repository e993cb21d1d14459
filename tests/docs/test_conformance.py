"""docs/conformance.md: each line has a test that there is, or says that it is not held or whose."""

import ast
import functools
import re
from pathlib import Path

import pytest

from .test_docs import ROOT, cells

PAGE = ROOT / "docs" / "conformance.md"
_NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")
_NOBODY_S = ("by the web server", "the browser's", "*not held*")
_ROWS = [
    row
    for row in map(cells, PAGE.read_text().splitlines())
    if len(row) == 4 and re.match(r"\d", row[0])
]


@functools.cache
def names_in(file: Path) -> frozenset[str]:
    """Return the names of the tests in a module."""
    return frozenset(
        node.name
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


@pytest.mark.parametrize("row", _ROWS, ids=lambda row: row[0].replace(" ", ""))
def test_each_line_has_a_test_that_there_is(row: list[str]) -> None:
    """Every name in the last column is a test of this suite; a line without one says why."""
    _, asked, held, named = row
    found = _NAMED.findall(named)

    assert asked
    assert held
    for file, name in found:
        path = ROOT / "tests" / file
        assert path.exists(), file
        assert name in names_in(path), f"{file} has no {name}"
    assert len(found) == named.count("`") // 2, "a name that could not be read"
    assert found or held.startswith(_NOBODY_S), "no test"


def test_each_section_has_a_line() -> None:
    """Nothing of the standards is left out that asks a server for something."""
    sections = {number for row in _ROWS for number in re.findall(r"\d(?:\.\d+)*", row[0])}

    assert {f"4.1.{number}" for number in range(1, 19)} <= sections
    assert {"3.1", "3.2", "3.3", "3.4", "4.2", "4.4", "5", "6.1", "6.4", "7.2", "8.1"} <= sections
    assert {"2.1", "2.3", "3.5", "4.1", "4.2", "5.1", "5.2", "5.3", "5.4", "5.5", "7"} <= sections
