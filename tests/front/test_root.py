"""A folder of programs: the path of a request names one, and nothing outside."""

from pathlib import Path

import pytest

from .conftest import Script, answered

SHOW = """#!/bin/sh
printf '\\r\\n%s|%s|%s|' "$SCRIPT_NAME" "$PATH_INFO" "$(pwd)"
"""


def answer(scgi2cgi: str, root: Path, *more: str, **variables: str) -> str:
    """Return the answer to a request with these variables."""
    return answered(scgi2cgi, "--root", str(root), *more, **variables)


@pytest.fixture
def root(script: Script, tmp_path: Path) -> Path:
    """Return a folder with a program in it, and one beside it."""
    script(SHOW, "bin/a.cgi")
    script(SHOW, "bin/.hidden")
    script(SHOW, "bin/plain.txt", 0o644)
    script(SHOW, "bin-beside/b.cgi")
    script(SHOW, "bin/folder/b.cgi")
    script(SHOW, "bin/folder/.hidden")
    script(SHOW, "bin/folder/deep/c.cgi")
    script(SHOW, "bin-beside/d/b.cgi")
    (tmp_path / "bin" / "away").symlink_to(tmp_path / "bin-beside")
    (tmp_path / "bin" / "near").symlink_to("folder/deep")
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
        ("/folder/", "403"),
        ("/folder//b.cgi", "404"),
        ("/folder/.hidden", "404"),
        ("/folder/../a.cgi", "404"),
        ("/folder/nothing", "404"),
        ("/away/b.cgi", "403"),
        ("/away/d/b.cgi", "403"),
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


@pytest.mark.parametrize(
    ("path", "name", "rest", "folder"),
    [
        ("/folder/b.cgi", "/folder/b.cgi", "", "folder"),
        ("/folder/b.cgi/x/y", "/folder/b.cgi", "/x/y", "folder"),
        ("/folder/deep/c.cgi/", "/folder/deep/c.cgi", "/", "folder/deep"),
        ("/near/c.cgi", "/near/c.cgi", "", "near"),
    ],
)
def test_folders_may_be_deep(
    scgi2cgi: str, root: Path, path: str, name: str, rest: str, folder: str
) -> None:
    """The path leads through them, and the program runs in its own."""
    seen = answer(scgi2cgi, root, SCRIPT_NAME="/cgi", PATH_INFO=path)
    assert seen == f"\r\n/cgi{name}|{rest}|{(root / folder).resolve()}|"


@pytest.mark.parametrize(
    ("path", "name"),
    [("/", "/index.pl"), ("/folder/", "/folder/b.cgi"), ("/folder/deep/", None), ("/folder", None)],
)
def test_index_stands_for_a_folder(
    scgi2cgi: str, script: Script, root: Path, path: str, name: str | None
) -> None:
    """If the path ends with a slash: the first of the names that is there."""
    script(SHOW, "bin/index.pl")
    found = answer(scgi2cgi, root, "--index", "index.cgi,index.pl,b.cgi", PATH_INFO=path)

    assert found.startswith(f"\r\n{name}||" if name else "Status: 403 ")


def test_web_server_may_have_found_the_program_itself(scgi2cgi: str, root: Path) -> None:
    """SCRIPT_FILENAME below the folder says so: then SCRIPT_NAME and PATH_INFO are as they come."""
    split = {"SCRIPT_NAME": "/x/b.cgi", "PATH_INFO": "/a.cgi"}
    file = root / "folder" / "b.cgi"
    seen = answer(scgi2cgi, root, **split, SCRIPT_FILENAME=str(file))
    assert seen == f"\r\n/x/b.cgi|/a.cgi|{file.parent}|"

    for other in (
        root / "folder" / ".hidden",
        root / "folder",
        root,
        "/bin/sh",
        f"{root}-beside/b",
    ):
        seen = answer(scgi2cgi, root, **split, SCRIPT_FILENAME=str(other))
        assert seen == f"\r\n/x/b.cgi/a.cgi||{root}|"
    away = answer(scgi2cgi, root, **split, SCRIPT_FILENAME=f"{root}/away/b.cgi")
    assert away.startswith("Status: 403 ")
