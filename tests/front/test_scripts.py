"""Programs that a request names by the path of their file, in folders that are allowed."""

import os
import subprocess
from pathlib import Path

import pytest

from .conftest import Script, answered

SHOW = """#!/bin/sh
printf '\\r\\n%s|%s|%s|%s' "$SCRIPT_NAME" "$PATH_INFO" "${SCRIPT_FILENAME##*/}" "$(pwd)"
"""


def answer(scgi2cgi: str, allowed: str, *more: str, **variables: str) -> str:
    """Return the answer to a request with these variables."""
    return answered(scgi2cgi, "--scripts", allowed, *more, **variables)


@pytest.fixture
def site(script: Script, tmp_path: Path) -> Path:
    """Return a folder with two folders of programs in it, and more."""
    script(SHOW, "cgi/a.cgi")
    script(SHOW, "cgi/plain.txt", 0o644)
    script(SHOW, "cgi/gains", 0o4755)
    script(SHOW, "cgi/gains-too", 0o2755)
    (tmp_path / "lib" / "deep").mkdir(parents=True)
    script(SHOW, "lib/deep/b.cgi")
    script(SHOW, "out/c.cgi")
    (tmp_path / "cgi" / "inside").symlink_to("a.cgi")
    (tmp_path / "cgi" / "other").symlink_to("../lib/deep/b.cgi")
    (tmp_path / "cgi" / "outside").symlink_to("../out/c.cgi")
    (tmp_path / "cgi" / "lost").symlink_to("nowhere")
    (tmp_path / "cgi" / "loop").symlink_to("loop")
    (tmp_path / "cgi" / "link").symlink_to("../lib")
    (tmp_path / "out" / "called").symlink_to("../cgi/a.cgi")
    (tmp_path / "cgi-not").mkdir()
    script(SHOW, "cgi-not/d.cgi")
    return tmp_path


@pytest.mark.parametrize(
    ("file", "folder"),
    [
        ("cgi/a.cgi", "cgi"),
        ("cgi/inside", "cgi"),
        ("cgi/other", "cgi"),
        ("lib/deep/b.cgi", "lib/deep"),
        ("out/../cgi/a.cgi", "cgi"),
        ("cgi/link/deep/b.cgi", "lib/deep"),
    ],
)
def test_file_names_the_program(scgi2cgi: str, site: Path, file: str, folder: str) -> None:
    """It runs in its folder; SCRIPT_NAME and PATH_INFO are as the web server has split them."""
    split = {"SCRIPT_NAME": "/x", "PATH_INFO": "/y", "DOCUMENT_ROOT": "/nowhere"}
    allowed = f"{site}/cgi,{site}/lib"
    seen = answer(scgi2cgi, allowed, **split, SCRIPT_FILENAME=f"{site}/{file}")

    assert seen == f"\r\n/x|/y|{os.path.basename(file)}|{(site / folder).resolve()}"


@pytest.mark.parametrize(
    ("file", "status", "reason"),
    [
        ("cgi/nothing", 404, "there is no such program"),
        ("cgi/lost", 404, "there is no such program"),
        ("nowhere/a.cgi", 404, "there is no such program"),
        ("cgi/plain.txt", 403, "not a program that may be run"),
        ("cgi/loop", 403, "not a program that may be run"),
        ("cgi", 403, "a folder"),
        ("cgi/", 403, "a folder"),
        ("cgi/outside", 403, "not in a folder whose programs may be run"),
        ("cgi-not/d.cgi", 403, "not in a folder whose programs may be run"),
        ("out/c.cgi", 403, "not in a folder whose programs may be run"),
        ("out/called", 403, "not in a folder whose programs may be run"),
        ("cgi/../out/c.cgi", 403, "not in a folder whose programs may be run"),
        ("cgi/gains", 403, "set-user-id or set-group-id"),
        ("cgi/gains-too", 403, "set-user-id or set-group-id"),
        ("cgi/" + "x" * 5000, 414, "too long"),
    ],
)
def test_what_is_not_allowed_is_refused_with_a_reason(
    scgi2cgi: str, site: Path, file: str, status: int, reason: str
) -> None:
    """Folders beside it, links that lead out or in, what gains rights, what is no program."""
    seen = answer(scgi2cgi, f"{site}/cgi,{site}/lib", SCRIPT_FILENAME=f"{site}/{file}")

    assert seen.startswith(f"Status: {status} ")
    assert reason in seen


def test_program_may_be_allowed_itself(scgi2cgi: str, site: Path) -> None:
    """Then also one that gains rights: somebody has meant it."""
    allowed = f"{site}/cgi/gains,{site}/lib,{site}/out/called"
    for file in ("cgi/gains", "cgi/a.cgi", "out/called"):
        assert answer(scgi2cgi, allowed, SCRIPT_FILENAME=f"{site}/{file}").startswith("\r\n")
    assert "403" in answer(scgi2cgi, allowed, SCRIPT_FILENAME=f"{site}/cgi/gains-too")


def test_everything_may_be_allowed(scgi2cgi: str, site: Path) -> None:
    """A single slash is a folder, too."""
    assert answer(scgi2cgi, "/", SCRIPT_FILENAME=f"{site}/out/c.cgi").startswith("\r\n")


@pytest.mark.parametrize(
    ("path", "name", "rest"),
    [
        ("/cgi/a.cgi", "/cgi/a.cgi", ""),
        ("/cgi/a.cgi/x/y", "/cgi/a.cgi", "/x/y"),
        ("/cgi/a.cgi/", "/cgi/a.cgi", "/"),
        ("/lib/deep/b.cgi/cgi/a.cgi", "/lib/deep/b.cgi", "/cgi/a.cgi"),
    ],
)
def test_name_behind_the_document_root_is_shortened(
    scgi2cgi: str, site: Path, path: str, name: str, rest: str
) -> None:
    """Until it is a file; what is behind that is PATH_INFO."""
    seen = answer(scgi2cgi, f"{site}", DOCUMENT_ROOT=str(site), SCRIPT_NAME=path)
    file = f"{site}{name}"
    assert seen == f"\r\n{name}|{rest}|{os.path.basename(file)}|{os.path.dirname(file)}"
    empty = answer(
        scgi2cgi, f"{site}", DOCUMENT_ROOT=str(site), SCRIPT_NAME=path, SCRIPT_FILENAME=""
    )
    assert empty == seen


@pytest.mark.parametrize(
    "variables",
    [{}, {"DOCUMENT_ROOT": "/"}, {"SCRIPT_NAME": "/bin/sh"}, {"SCRIPT_FILENAME": ""}],
)
def test_request_that_names_nothing_is_refused(scgi2cgi: str, variables: dict[str, str]) -> None:
    """Both are needed where there is no file."""
    assert answer(scgi2cgi, "/", **variables).startswith("Status: 404 ")


@pytest.mark.parametrize(
    "prefix", ["proxy:fcgi://127.0.0.1:9000", "proxy:unix:/run/x.sock|fcgi://localhost"]
)
def test_what_apache_puts_before_the_file_is_dropped(
    scgi2cgi: str, site: Path, prefix: str
) -> None:
    """So is the query behind it; the file is shortened like a name."""
    file = f"{prefix}{site}/cgi/a.cgi/x?y=/z"
    name = f"{site}/cgi/a.cgi/x"
    seen = answer(scgi2cgi, f"{site}/cgi", SCRIPT_FILENAME=file, SCRIPT_NAME=name)

    assert seen == f"\r\n{site}/cgi/a.cgi|/x|a.cgi|{site}/cgi"


def test_folder_to_run_in_may_be_set(scgi2cgi: str, site: Path) -> None:
    """By the service or the request, as for fcgiwrap; a dash is no folder in particular."""
    file = {"SCRIPT_FILENAME": f"{site}/cgi/a.cgi"}
    ways = [
        answer(scgi2cgi, str(site), **file, FCGI_CHDIR="/usr"),
        answer(scgi2cgi, str(site), "--env", "FCGI_CHDIR=/usr", **file),
        answer(scgi2cgi, str(site), **file, FCGI_CHDIR="-"),
    ]
    assert [one.rpartition("|")[2] for one in ways] == ["/usr", "/usr", os.getcwd()]
    assert answer(scgi2cgi, str(site), **file, FCGI_CHDIR="/nowhere").startswith("Status: 404 ")


def test_index_stands_for_a_folder(scgi2cgi: str, site: Path) -> None:
    """If the path ends with a slash."""
    named = {"SCRIPT_FILENAME": f"{site}/lib/deep/", "SCRIPT_NAME": "/x/"}
    seen = answer(scgi2cgi, str(site), "--index", "index.cgi,b.cgi", **named)
    assert seen == f"\r\n/x/b.cgi||b.cgi|{site}/lib/deep"
    assert "403" in answer(scgi2cgi, str(site), "--index", "index.cgi", **named)


def test_recipe_of_git_works_as_it_stands(scgi2cgi: str, script: Script, tmp_path: Path) -> None:
    """Which repositories are served, and whether, is said by the web server in each request."""
    program = script("#!/bin/sh\nprintf '\\r\\n'; env\n")
    variables = {"GIT_PROJECT_ROOT": "/srv/git", "GIT_HTTP_EXPORT_ALL": "", "GIT_DIR": "/evil"}
    lines = answer(
        scgi2cgi, str(tmp_path), SCRIPT_FILENAME=program, LD_PRELOAD="x", **variables
    ).splitlines()

    assert "GIT_PROJECT_ROOT=/srv/git" in lines
    assert "GIT_HTTP_EXPORT_ALL=" in lines
    assert not [line for line in lines if line.startswith(("GIT_DIR", "LD_"))]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--scripts", "cgi"), "--scripts: not a list of absolute paths"),
        (("--scripts", "/cgi,"), "--scripts: not a list of absolute paths"),
        (("--scripts", "/cgi", "cat"), "give either a program, --root or --scripts"),
        (("--scripts", "/cgi", "--root", "/"), "give either a program, --root or --scripts"),
        (("--index", "a", "cat"), "--index needs --root or --scripts"),
        (("--index", "a/b", "--root", "/"), "--index: not a list of names of files"),
        (("--index", ".a", "--root", "/"), "--index: not a list of names of files"),
    ],
)
def test_wrong_call_is_explained(scgi2cgi: str, arguments: tuple[str, ...], complaint: str) -> None:
    """One line says what is wrong."""
    done = subprocess.run(
        [scgi2cgi, *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )

    assert done.returncode == 100
    assert done.stderr.decode().startswith(f"scgi2cgi: {complaint}")
