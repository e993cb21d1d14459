"""A copy of a program answers as the program does when it is executed."""

import shutil
from pathlib import Path

import pytest

from .conftest import Compile, Start

pytestmark = pytest.mark.slow

SHELL = """#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\nsession %s\\n' "$(ps -o sid= -p $$ | tr -d ' ')"
echo "$0 in $(pwd), body $(cat | cksum)"
env | grep -v -e '^_=' -e '^PWD=' -e '^OLDPWD=' -e '^SHLVL=' | sort
echo "said" >&2
"""
PERL = """#!/usr/bin/perl
use POSIX ();
$session = POSIX::getpgrp(); open $f, '<', "/proc/$$/stat"; @s = split ' ', <$f>;
print "Content-Type: text/plain\\r\\n\\r\\nsession $s[5]\\n";
$body = do { local $/; <STDIN> } // '';
print "$0 ", length $body, " ", unpack('%32C*', $body), "\\n";
print "$_=$ENV{$_}\\n" for sort keys %ENV;
print STDERR "said\\n";
"""
REQUESTS = {
    "plain": (b"", {"QUERY_STRING": "a=b"}),
    "body": (b"x" * 1000, {"REQUEST_METHOD": "POST"}),
    "large body": (b"0123456789abcde\n" * 32768, {"REQUEST_METHOD": "POST"}),
    "path info": (b"", {"SCRIPT_NAME": "/p/extra", "behind": "/extra/more"}),
    "status": (b"", {"ASKED_STATUS": "404 Not Found", "HTTP_HOST": "a"}),
    "elsewhere": (b"", {"FCGI_CHDIR": "/usr"}),
    "nowhere": (b"", {"FCGI_CHDIR": "/no/such/folder"}),
    "here": (b"", {"FCGI_CHDIR": "-"}),
}


@pytest.fixture(params=["c", "sh", "perl"])
def program(request: pytest.FixtureRequest, put: Compile, tmp_path: Path) -> str:
    """Return a program of each kind in turn."""
    if request.param == "c":
        return put()
    if request.param == "perl" and shutil.which("perl") is None:
        pytest.skip("perl is not installed (package perl)")
    path = tmp_path / "cgi" / f"program.{request.param}"
    path.write_text(SHELL if request.param == "sh" else PERL)
    path.chmod(0o755)
    return str(path)


def test_copy_answers_as_the_program_does(start: Start, protocol: str, program: str) -> None:
    """Head, body and standard error are the same, whatever the request is."""
    with_copies = start(protocol, is_quiet=False)
    without = start(protocol, "--script-templates", "0", is_quiet=False)
    template = with_copies.favour(program)

    for name, (body, given) in REQUESTS.items():
        variables = dict(given)
        path = program + variables.pop("behind", "")
        expected = without.ask(path, body, **variables)
        for _ in range(3):  # one of them may find no copy that waits
            answer = with_copies.ask(path, body, **variables)
            if answer.session == template or name == "nowhere":
                break
        assert answer.session in (template, -1), name
        assert answer.without_session() == expected.without_session(), name
        assert answer.stderr == expected.stderr, name
    assert without.server.events("favourite_started") == []


def test_copy_gets_nothing_of_another_request(start: Start, protocol: str, put: Compile) -> None:
    """A variable of one request is not in the environment of the next."""
    site, program = start(protocol), put()
    site.favour(program, HTTP_SECRET="of-another")

    for _ in range(5):
        assert b"of-another" not in site.ask(program).stdout


def test_log_has_each_connection_once(start: Start, put: Compile) -> None:
    """A connection that was handed over is one of the service, with its client and its end."""
    site, program = start("scgi"), put()
    site.favour(program)
    place = site.server.place
    assert site.server.stop() == 0

    accepted = site.server.events("connection_accepted")
    assert {line["listener"] for line in accepted} == {f"tcp:127.0.0.1:{place[1]}"}
    assert all(line["peer"].startswith("127.0.0.1:") for line in accepted)
    assert len(site.server.events("connection_closed")) == len(accepted)
    (stopped,) = site.server.events("stopped")
    assert stopped["connections"] == len(accepted)
