"""What a request may set: a list of the operator's, at every level and in the wrapper."""

import pytest

from harness import scgi

from .conftest import SHOW, Script, Start
from .test_heads import answer
from .test_levels import LEVELS, stopping

pytestmark = pytest.mark.slow


def test_list_of_the_operator_says_what_may_come(scgi2cgi: str, script: Script) -> None:
    """Nothing else reaches the program, dangerous or not; what is named itself does."""
    sent = dict.fromkeys(("DOCUMENT_ROOT", "SSL_A", "BASH_ENV", "GIT_DIR", "HTTP_A"), "1")
    options = ("--request-variables", "standard,SSL_*,GIT_DIR")
    text, status = answer(scgi.request(**sent, HTTP_PROXY="1"), scgi2cgi, *options, script())

    names = {line.partition("=")[0] for line in text.decode().splitlines() if "=" in line}
    assert status == 0
    assert names == {
        "CONTENT_LENGTH", "GATEWAY_INTERFACE", "GIT_DIR", "HTTP_A", "PATH", "SCGI", "SSL_A",
    }  # fmt: skip


def test_what_a_list_means_by_a_beginning_is_left_out_if_it_is_stopped(
    scgi2cgi: str, script: Script
) -> None:
    """Nobody has meant that one."""
    options = ("--request-variables", "standard,GIT_*")
    text, status = answer(scgi.request(GIT_DIR="/", GIT_="1"), scgi2cgi, *options, script())

    assert (b"GIT_" in text, status) == (False, 0)


@LEVELS
def test_list_holds_at_every_level(start: Start, script: Script, level: str) -> None:
    """The rest of the request is carried out."""
    names = ("--request-variables", "standard,HTTPS,BASH_ENV")
    server = start("--ready", level, *names, "-p", script(stopping(level, SHOW)))

    whole = scgi.request(b"the body", HTTPS="on", BASH_ENV="/dev/null", LEFT="out", PYTHONPATH="x")
    lines = scgi.ask(server.place, whole).decode().replace("\r\n", "\n").splitlines()

    assert lines[2:-2] == [
        "BASH_ENV=/dev/null",
        "CONTENT_LENGTH=8",
        "GATEWAY_INTERFACE=CGI/1.1",
        "HTTPS=on",
        "PATH=/usr/local/bin:/usr/bin:/bin",
        "SCGI=1",
        f"UNIQUE_ID={server.wait_event('connection_closed')['id']}",
    ]
    assert lines[-1] == "body the body"
