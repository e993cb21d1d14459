"""The manual pages: correct mdoc, and the same options as --help."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from socketd.cli.options import all_options

PAGES = Path(__file__).parents[2] / "docs" / "man"


@pytest.mark.parametrize("page", ["fcgi2cgi.1", "scgi2cgi.1", "socket.1", "socketd.8"])
def test_page_is_correct(page: str) -> None:
    """Mandoc has nothing to object to, style included."""
    if shutil.which("mandoc") is None:
        pytest.skip("mandoc is not installed")

    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "style", str(PAGES / page)],
        capture_output=True,
        text=True,
        check=False,
    )

    # A page that is not installed yet refers to others that are not either.
    notes = [line for line in done.stdout.splitlines() if "referenced manual not found" not in line]
    assert notes == []


def _described() -> list[tuple[str, str, str]]:
    """Return letter, name and metavar of each option that socket(1) describes."""
    text = (PAGES / "socket.1").read_text()
    found = re.findall(
        r"^\.It (?:Fl (\w) , )?Fl \\-([\w-]+)(?: Ar ([][\w=.,-]+))?$", text, re.MULTILINE
    )
    return [(letter, name.replace("\\-", "-"), metavar) for letter, name, metavar in found]


def test_options_of_the_page_are_those_of_the_command() -> None:
    """Each option of --help is described once, with its letter and value, and no other is."""
    table = [(option.letter, option.name, option.metavar.lower()) for option in all_options()]

    assert sorted(_described()) == sorted(table)


def test_choices_of_the_page_are_those_of_the_command() -> None:
    """Each value of an option that takes one of a few stands in its description."""
    text = (PAGES / "socket.1").read_text()
    for option in all_options():
        entry = text.partition(f"Fl \\-{option.name} ")[2].partition("\n.It ")[0]
        for choice in option.choices:
            assert choice in entry, (option.name, choice)
