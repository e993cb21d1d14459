"""What a copy with a connection can see: its own, and neither ours nor another copy's."""

import contextlib
import os
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.clients import connect, exchange, read_all
from harness.servers import Server

from .conftest import Compile, Start
from .sources import program

pytestmark = pytest.mark.slow

LEVELS = pytest.mark.parametrize("level", ["load", "read", "stop"])

# Keeps what it reads in memory and in a file without a name, and tells all that it has of both,
# its descriptors and its mappings after each word.
BODY = """
if (count > 1) raise(SIGSTOP);
static char kept[999]; char line[4096]; long n; FILE *file = 0;
int opened = open("/dev/zero", O_RDONLY);
while ((n = read(0, line, 99)) > 0) {
    if (!file) file = tmpfile();
    strncat(kept, line, n);
    fseek(file, 0, SEEK_END); fwrite(line, 1, n, file); rewind(file);
    memset(line, 0, sizeof line); fread(line, 1, 99, file);
    printf("memory %s\\nfile %s\\nopened %d\\ntemporary %d\\n", kept, line, opened, fileno(file));
    for (int fd = 0; fd < 1024; fd++) {
        char name[99]; sprintf(name, "/proc/self/fd/%d", fd);
        memset(line, 0, sizeof line);
        if (readlink(name, line, sizeof line - 1) > 0) printf("fd %d %s\\n", fd, line);
    }
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps)) printf("map %s", line);
    fclose(maps);
    puts("end"); fflush(stdout);
}
"""


@dataclass(frozen=True)
class View:
    """What a copy has told of itself."""

    memory: str
    file: str
    descriptors: dict[int, str]
    mappings: list[str]
    own: set[int]
    """The descriptors that the program has opened itself."""


@pytest.fixture
def teller(compile_c: Compile) -> str:
    """Return a program that tells what it sees; with an argument it stops itself first."""
    return compile_c(program(BODY))


def serve(start: Start, level: str, path: str) -> Server:
    """Start a server whose program is the teller, held at a level."""
    return start(f"{level}!", path + (" stop" if level == "stop" else ""))


class Client:
    """A client of a teller."""

    def __init__(self, server: Server) -> None:
        self.connection = connect(server.place)
        self.lines = self.connection.makefile("r")

    def ask(self, word: bytes) -> View:
        """Say a word and return what the copy sees then."""
        self.connection.sendall(word)
        told: dict[str, list[str]] = {}
        for line in iter(self.lines.readline, "end\n"):
            assert line, "the connection has ended"
            name, _, value = line.rstrip("\n").partition(" ")
            told.setdefault(name, []).append(value)
        descriptors = dict(value.split(" ", 1) for value in told["fd"])
        return View(
            told["memory"][0],
            told["file"][0],
            {int(number): target for number, target in descriptors.items()},
            told["map"],
            {int(told["opened"][0]), int(told["temporary"][0])},
        )

    def close(self) -> None:
        """End the connection."""
        self.lines.close()
        self.connection.close()


@LEVELS
def test_nothing_of_one_connection_is_visible_to_another(
    start: Start, teller: str, level: str
) -> None:
    """Memory, a temporary file and the connection itself are a copy's own, now and afterwards."""
    server = serve(start, level, teller)
    clients = [Client(server) for _ in range(3)]

    for word in (b"first", b"second"):
        for number, client in enumerate(clients):
            seen = client.ask(b"%d-%s " % (number, word))
            expected = f"{number}-first " + (f"{number}-second " if word == b"second" else "")
            assert (seen.memory, seen.file) == (expected, expected)
    seen_of_all = [client.ask(b".") for client in clients]
    sockets = [{t for t in seen.descriptors.values() if "socket:" in t} for seen in seen_of_all]
    temporary = [{t for t in seen.descriptors.values() if "deleted" in t} for seen in seen_of_all]
    assert [len(found) for found in sockets + temporary] == [1] * 6
    assert len(set().union(*sockets)) == len(set().union(*temporary)) == 3
    clients.pop().close()

    later = Client(server)
    assert later.ask(b"later").memory == "later"
    for client in [*clients, later]:
        client.close()


@LEVELS
def test_nothing_of_ours_is_in_a_copy_that_has_its_connection(
    start: Start, teller: str, level: str
) -> None:
    """Neither listener, board, doorbell, control nor the template's pipe is left, nor mapped."""
    client = Client(serve(start, level, teller))

    seen = client.ask(b"x")

    streams = {number: seen.descriptors[number] for number in (0, 1, 2)}
    assert set(seen.descriptors) == {0, 1, 2} | seen.own
    assert len(set(streams.values())) == 1
    assert not [line for line in seen.mappings if "socketd-board" in line or "rw-s" in line]
    client.close()


@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_shell_copies_run_their_script_each_for_itself(
    start: Start, script: Callable[..., str], shell: str
) -> None:
    """A shell reads its script as it runs it; copies at other lines are not in each other's way."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    filler = "".join(f": filler {number} {'x' * 80}\n" for number in range(200))  # beyond a buffer
    path = script(
        f"#!/usr/bin/env {shell}\n{filler}"
        "read first\necho begun\nread fifo\ncat < $fifo > /dev/null\n"
        f"{filler}echo $first\necho end\n"
    )
    server = start("read!", path)
    fifos = [f"{path}-{number}" for number in range(3)]
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(server.place)) for _ in fifos]
        for number, (client, fifo) in enumerate(zip(clients, fifos, strict=True)):
            os.mkfifo(fifo)
            client.sendall(b"%d\n%s\n" % (number, fifo.encode()))
            assert client.recv(6, socket.MSG_WAITALL) == b"begun\n"
        for fifo in reversed(fifos):  # each waits in a program of its own until now
            os.close(os.open(fifo, os.O_WRONLY))
        assert [read_all(client) for client in clients] == [b"%d\nend\n" % n for n in range(3)]


def test_duplicates_of_a_file_have_one_position_in_a_copy_too(
    start: Start, compile_c: Compile, tmp_path: Path
) -> None:
    """Two descriptors of one opening move together, two openings of one file do not."""
    path = tmp_path / "letters"
    path.write_text("abcdefgh")
    body = f"""
    char c, text[4] = ""; int one = open("{path}", O_RDONLY | O_CLOEXEC), two = dup(one);
    int other = open("{path}", O_RDONLY);
    read(one, text, 1); read(0, &c, 1);
    read(one, text, 1); read(two, text + 1, 1); read(other, text + 2, 1);
    printf("%s %d %d\\n", text, fcntl(one, F_GETFD), fcntl(two, F_GETFD));
    """
    server = start("read!", compile_c(program(body)))

    assert [exchange(server.place, b"x") for _ in range(3)] == [b"bca 1 0\n"] * 3
