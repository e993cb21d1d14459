"""What a copy with a connection can see: its own, and neither ours nor another copy's."""

from dataclasses import dataclass

import pytest

from harness.clients import connect
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
