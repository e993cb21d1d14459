"""A folder of programs: the path of a request names one, and nothing outside."""

import subprocess
from pathlib import Path

import pytest

from harness import scgi

from .conftest import Script

SHOW = """#!/bin/sh
printf '\\r\\n%s|%s|%s|' "$SCRIPT_NAME" "$PATH_INFO" "$(pwd)"
"""


def answer(scgi2cgi: str, root: Path, **variables: str) -> str:
    """Return the answer to a request with these variables."""
    done = subprocess.run(
        [scgi2cgi, "--root", str(root)],
        input=scgi.request(**variables),
        capture_output=True,
        check=False,
        timeout=30,
    )
    return done.stdout.decode()


@pytest.fixture
def root(script: Script, tmp_path: Path) -> Path:
    """Return a folder with a program in it, and one beside it."""
    script(SHOW, "bin/a.cgi")
    script(SHOW, "bin/.hidden")
    script(SHOW, "bin/plain.txt", 0o644)
    script(SHOW, "bin-beside/b.cgi")
    (tmp_path / "bin" / "folder").mkdir()
    (tmp_path / "bin" / "inside").symlink_to("a.cgi")
    (tmp_path / "bin" / "outside").symlink_to(tmp_path / "bin-beside" / "b.cgi")
    (tmp_path / "bin" / "shell").symlink_to("/bin/sh")
    (tmp_path / "bin" / "lost").symlink_to("nowhere")
    (tmp_path / "bin" / "loop").symlink_to("loop")
    return tmp_path / "bin"


@pytest.mark.parametrize(
    ("variables", "seen"),
    [
        ({"PATH_INFO": "/a.cgi"}, "/a.cgi|"),
        ({"PATH_INFO": "/a.cgi", "SCRIPT_NAME": "/cgi-bin"}, "/cgi-bin/a.cgi|"),
        ({"PATH_INFO": "/a.cgi/b/c", "SCRIPT_NAME": "/cgi-bin"}, "/cgi-bin/a.cgi|/b/c"),
        ({"PATH_INFO": "/a.cgi/"}, "/a.cgi|/"),
        ({"PATH_INFO": "", "SCRIPT_NAME": "/a.cgi/x"}, "/a.cgi|/x"),
        ({"DOCUMENT_URI": "/a.cgi"}, "/a.cgi|"),
        ({"PATH_INFO": "/inside"}, "/inside|"),
        ({"PATH_INFO": "/a.cgi/../../x"}, "/a.cgi|/../../x"),
    ],
)
def test_first_component_names_the_program(
    scgi2cgi: str, root: Path, variables: dict[str, str], seen: str
) -> None:
    """What leads to it becomes SCRIPT_NAME, what is behind it PATH_INFO; it runs in its folder."""
    assert answer(scgi2cgi, root, **variables) == f"\r\n{seen}|{root}|"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nothing", "404"),
        ("/", "404"),
        ("//a.cgi", "404"),
        ("a.cgi", "404"),
        ("/.hidden", "404"),
        ("/.", "404"),
        ("/../bin/a.cgi", "404"),
        ("/../bin-beside/b.cgi", "404"),
        ("/lost", "404"),
        ("/folder", "403"),
        ("/plain.txt", "403"),
        ("/outside", "403"),
        ("/shell", "403"),
        ("/loop", "403"),
        ("/" + "x" * 5000, "414"),
        ("/" + "x" * 300, "414"),
    ],
)
def test_what_is_no_program_of_the_folder_is_not_run(
    scgi2cgi: str, root: Path, path: str, status: str
) -> None:
    """Nothing above the folder, beside it, behind a link out of it, hidden or not executable."""
    assert answer(scgi2cgi, root, PATH_INFO=path).startswith(f"Status: {status} ")


def test_request_without_a_path_names_nothing(scgi2cgi: str, root: Path) -> None:
    """There is no program that is the folder's own."""
    assert answer(scgi2cgi, root).startswith("Status: 404 ")
