"""Ours and the other answer alike, byte by byte, to what web servers send by its recipes."""

import shutil
import subprocess
from pathlib import Path

import pytest

from harness.fastcgi import Answer

from .conftest import Wrap

pytestmark = pytest.mark.slow

ENVIRONMENT = """#!/bin/sh
printf 'Status: 201 Created\\r\\nContent-Type: text/plain\\r\\nX-A: 1\\r\\nX-A: 2\\r\\n\\r\\n'
env | grep -v -E '^(PWD|OLDPWD|SHLVL|_|FCGI_ROLE|UNIQUE_ID)=' | sort
echo "in $(pwd) as $0 with $#"
cat
echo complaint >&2
exit 3
"""
# What we have and the other has not, or the other way round; docs/cgi.md says why.
OURS_ALONE = ("GATEWAY_INTERFACE=", "SCRIPT_FILENAME=")

# What nginx sends by its own fastcgi_params.
NGINX = {
    "QUERY_STRING": "a=b", "REQUEST_METHOD": "POST", "CONTENT_TYPE": "text/plain",
    "SCRIPT_NAME": "/cgi-bin/a.cgi", "REQUEST_URI": "/cgi-bin/a.cgi?a=b",
    "DOCUMENT_URI": "/cgi-bin/a.cgi", "SERVER_PROTOCOL": "HTTP/1.1", "REQUEST_SCHEME": "http",
    "GATEWAY_INTERFACE": "CGI/1.1", "SERVER_SOFTWARE": "nginx/1.22.1",
    "REMOTE_ADDR": "192.0.2.7", "REMOTE_PORT": "5000", "SERVER_ADDR": "192.0.2.1",
    "SERVER_PORT": "80", "SERVER_NAME": "_", "REDIRECT_STATUS": "200", "HTTP_HOST": "localhost",
    "HTTP_COOKIE": "a=1; b=2", "HTTPS": "",
}  # fmt: skip


def shown(answer: Answer) -> list[str]:
    """Return what was answered but for what differs on purpose."""
    return [
        line
        for line in answer.stdout.decode().split("\n")
        if not line.startswith((*OURS_ALONE, "TEST_MARK", "SOCKETD_"))
    ]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a document root with programs in it."""
    for name in ("cgi-bin/a.cgi", "cgi-bin/deep/b.cgi"):
        path = tmp_path / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(ENVIRONMENT)
        path.chmod(0o755)
    (tmp_path / "site" / "cgi-bin" / "link").symlink_to("deep/b.cgi")
    return tmp_path / "site"


@pytest.mark.parametrize(
    "more",
    [
        {"SCRIPT_FILENAME": "{site}/cgi-bin/a.cgi"},
        {"SCRIPT_FILENAME": "{site}/cgi-bin/link", "PATH_INFO": "/x"},
        {"SCRIPT_FILENAME": "{site}/cgi-bin/../cgi-bin/a.cgi"},
        {"SCRIPT_FILENAME": "{site}/cgi-bin/a.cgi", "DOCUMENT_ROOT": "/nowhere"},
        {"DOCUMENT_ROOT": "{site}"},
        {"DOCUMENT_ROOT": "{site}", "SCRIPT_NAME": "/cgi-bin/a.cgi/x/y"},
        {"DOCUMENT_ROOT": "{site}", "SCRIPT_NAME": "/cgi-bin/deep/b.cgi/"},
        {"DOCUMENT_ROOT": "{site}/", "SCRIPT_NAME": "/cgi-bin/deep/b.cgi"},
        {"SCRIPT_FILENAME": "{site}/cgi-bin/a.cgi", "GIT_PROJECT_ROOT": "/srv", "MODE": "asked"},
    ],
    ids=str,
)
def test_program_finds_the_same(ours: Wrap, theirs: Wrap, site: Path, more: dict[str, str]) -> None:
    """Environment, folder, name, body, status, headers, standard error and exit."""
    more = {name: text.replace("{site}", str(site)) for name, text in more.items()}
    asked = {"MODE": "of the server"} if "MODE" in more else {}
    ours_said, theirs_said = (
        one.ask(b"the body\n", **{**NGINX, **more, **asked}) for one in (ours, theirs)
    )

    assert shown(ours_said) == shown(theirs_said)
    assert ours_said.status == "201 Created"
    assert ours_said.stderr == theirs_said.stderr == b"complaint\n"


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"SCRIPT_FILENAME": "{site}/cgi-bin/nothing"},
        {"SCRIPT_FILENAME": "{site}/cgi-bin"},
        {"SCRIPT_FILENAME": "{site}/plain"},
        {"DOCUMENT_ROOT": "{site}", "SCRIPT_NAME": "/cgi-bin/"},
        {"DOCUMENT_ROOT": "{site}", "SCRIPT_NAME": "/elsewhere/a.cgi"},
    ],
    ids=str,
)
def test_both_refuse_the_same(ours: Wrap, theirs: Wrap, site: Path, more: dict[str, str]) -> None:
    """The other always with 403; ours says by 404 what is not there."""
    (site / "plain").write_text("no program")
    more = {name: text.replace("{site}", str(site)) for name, text in more.items()}
    ours_said, theirs_said = (one.ask(**more) for one in (ours, theirs))

    assert theirs_said.status == "403 Forbidden"
    assert ours_said.status[:3] in ("403", "404")
    assert ours_said.stderr.startswith(b"socketd: refused: ")


def test_git_serves_by_the_recipe_for_it(ours: Wrap, theirs: Wrap, tmp_path: Path) -> None:
    """What is served, and whether, nginx says with each request."""
    program = Path("/usr/lib/git-core/git-http-backend")
    if not program.exists() or shutil.which("git") is None:
        pytest.skip("no git")
    bare = tmp_path / "a.git"
    subprocess.run(["git", "init", "-q", "--bare", bare], check=True)
    variables = {
        "REQUEST_METHOD": "GET", "SCRIPT_FILENAME": str(program), "PATH_INFO": "/a.git/info/refs",
        "QUERY_STRING": "service=git-upload-pack", "GIT_PROJECT_ROOT": str(tmp_path),
        "GIT_HTTP_EXPORT_ALL": "", "REMOTE_USER": "", "CONTENT_TYPE": "",
    }  # fmt: skip
    answers = [one.ask(**variables).stdout for one in (ours, theirs)]

    assert answers[0] == answers[1]
    assert b"application/x-git-upload-pack-advertisement" in answers[0]
