"""Folders of programs, servers that find them by SCRIPT_FILENAME, and both protocols to ask in."""

import contextlib
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import fastcgi, scgi
from harness.clients import connect
from harness.native import find_compiler
from harness.servers import Server
from harness.waiting import wait_for
from socketd.system.products import is_built

# Says which version of itself it is, in whose session it runs, and what it has been given.
SHOW = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
extern char **environ;
static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}
int main(int count, char **words)
{
    char folder[4096];
    unsigned long length = 0, sum = 0;
    size_t names = 0;
    int byte;

    while ((byte = getchar()) != EOF) {
        length++;
        sum = (sum * 31 + (unsigned long)byte) % 1000003;
    }
    printf("Content-Type: text/plain\r\nX-Version: " VERSION "\r\n");
    if (getenv("ASKED_STATUS"))
        printf("Status: %s\r\n", getenv("ASKED_STATUS"));
    printf("\r\nsession %d\n", getsid(0));
    printf("%d words, %s, in %s, body %lu %lu\n", count, words[0], getcwd(folder, sizeof folder),
           length, sum);
    while (environ[names])
        names++;
    qsort(environ, names, sizeof *environ, compare);
    for (size_t i = 0; i < names; i++)
        puts(environ[i]);
    fprintf(stderr, "said by " VERSION "\n");
    return 0;
}
"""
MANY = 8

Compile = Callable[..., str]
Start = Callable[..., "Site"]


@dataclass
class Answered:
    """What has come back: an answer, and what was complained of where that comes back."""

    stdout: bytes
    stderr: bytes

    @property
    def session(self) -> int:
        """Return the session in which the program has run: that of the template it came from."""
        line = self.stdout.partition(b"session ")[2].partition(b"\n")[0]
        return int(line or -1)

    def without_session(self) -> bytes:
        """Return the answer without what is different in any case."""
        rest = self.stdout.replace(f"session {self.session}\n".encode(), b"")
        return re.sub(rb"\nUNIQUE_ID=[^\n]*", b"", rest)


@dataclass
class Site:
    """A server, and how it is asked."""

    server: Server
    protocol: str

    def ask(self, path: str, body: bytes = b"", /, **variables: str) -> Answered:
        """Ask for a program on a connection of its own."""
        given = {"REQUEST_METHOD": "GET", "SCRIPT_FILENAME": path, **variables}
        if self.protocol == "scgi":
            return Answered(scgi.ask(self.server.place, scgi.request(body, **given)), b"")
        with connect(self.server.place) as connection:
            peer = fastcgi.Peer(connection)
            given |= {"CONTENT_LENGTH": str(len(body))}
            peer.send(fastcgi.request(given, body))
            answer = peer.read_answer()
            return Answered(answer.stdout, answer.stderr)

    def favour(self, path: str, **variables: str) -> int:
        """Ask for a program until a copy of it answers; return the template's process id."""

        def is_copy() -> int:
            started = {line["pid"] for line in self.server.events("favourite_started")}
            session = self.ask(path, **variables).session
            return session if session in started else 0

        return wait_for(is_copy, f"a copy of {path} answers")


@pytest.fixture(params=["scgi", "fcgi"])
def protocol(request: pytest.FixtureRequest) -> str:
    """Return each protocol in turn."""
    return str(request.param)


@pytest.fixture(scope="session")
def shows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return versions of a program as files have them."""
    folder = tmp_path_factory.mktemp("shows")
    source = folder / "show.c"
    source.write_text(SHOW)
    built = {}
    for version, options in {"one": (), "two": (), "static": ("-static",)}.items():
        product = folder / version
        define = f'-DVERSION="{version}"'
        command = [find_compiler(), "-O1", *options, define, "-o", str(product), str(source)]
        subprocess.run(command, check=True)
        built[version] = product.read_bytes()
    return built


@pytest.fixture
def put(shows: dict[str, bytes], tmp_path: Path) -> Compile:
    """Return a function that puts a version of the program at a path, in one step."""
    (tmp_path / "cgi").mkdir()

    def make(version: str = "one", name: str = "show") -> str:
        path = tmp_path / "cgi" / name
        path.parent.mkdir(exist_ok=True)
        fresh = path.with_name(f".{path.name}.new")
        fresh.write_bytes(shows[version])
        fresh.chmod(0o755)
        os.replace(fresh, path)
        return str(path)

    return make


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start servers for the folder of programs; they must leave nothing behind."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    with contextlib.ExitStack() as stack:

        def begin(protocol: str, *options: str, is_quiet: bool = True) -> Site:
            place = ["-B", "127.0.0.1", "-s", "0", "-W", "2"]
            what = ["--front", protocol, "--scripts", str(tmp_path / "cgi")]
            if "--stderr" not in options:
                what += ["--stderr", "null"] if protocol == "scgi" else []
            server = Server([*what, *place, *options], is_quiet=is_quiet, is_measured=False)
            stack.callback(server.close)
            return Site(server, protocol)

        yield begin
