"""What a program sets on its connection at its start, before there is one."""

import shlex
import shutil
import sys

import pytest

from harness.clients import connect, exchange, read_all

from .conftest import Compile, Start, ready, reason
from .sources import program

pytestmark = pytest.mark.slow

# Read on until there is nothing left, then wait: a read that blocks would never come to the answer.
RUBY = """
require "io/nonblock"
STDIN.nonblock = true
loop do
  IO.select([STDIN])
  loop do
    piece = STDIN.read_nonblock(99, exception: false)
    exit if piece.nil?
    break if piece == :wait_readable
    STDOUT.write(piece); STDOUT.flush
  end
end
"""
PYTHON = """
import os, select
os.set_blocking(0, False)
while select.select([0], [], []):
    try:
        while piece := os.read(0, 99): os.write(1, piece)
        break
    except BlockingIOError: pass
"""
PERL = """
use Socket; use IO::Handle;
STDIN->blocking(0);
setsockopt(STDIN, SOL_SOCKET, SO_KEEPALIVE, 1);
setsockopt(STDIN, SOL_SOCKET, SO_LINGER, pack(q(ii), 1, 7));
vec($in, 0, 1) = 1; 1 until select($read = $in, undef, undef, undef) > 0;
$n = sysread STDIN, $_, 99; $n = sysread STDIN, $_, 99; print $!{EAGAIN} ? q(EAGAIN) : q(blocks);
print q( ), unpack(q(i), getsockopt(STDIN, SOL_SOCKET, SO_KEEPALIVE));
print q( ), join q(,), unpack(q(ii), getsockopt(STDIN, SOL_SOCKET, SO_LINGER));
"""
NONBLOCKING = {
    "ruby": ["ruby", "-e", RUBY],
    "python": [sys.executable, "-c", PYTHON],
}


@pytest.mark.parametrize("name", NONBLOCKING)
def test_program_that_does_not_block_does_not_in_a_copy(start: Start, name: str) -> None:
    """Where its second read has nothing it waits for the next line, and answers the first."""
    if shutil.which(NONBLOCKING[name][0]) is None:
        pytest.skip(f"{name} is not installed")
    server = start("read!", shlex.join(NONBLOCKING[name]))

    for _ in range(2):
        with connect(server.place) as connection:
            for line in (b"a\n", b"b\n"):
                connection.sendall(line)
                assert connection.recv(99) == line
            connection.shutdown(1)
            assert read_all(connection) == b""


def test_options_and_flags_of_a_script_are_those_of_each_connection(start: Start) -> None:
    """They were set on the socket that stands for it."""
    if shutil.which("perl") is None:
        pytest.skip("perl is not installed")
    server = start("read!", shlex.join(["perl", "-e", PERL]))

    for _ in range(2):
        with connect(server.place) as connection:
            connection.sendall(b"\n")
            assert read_all(connection) == b"EAGAIN 1 1,7"


# An option that is a number, and the one to set.
NUMBERS = {
    "SO_KEEPALIVE": 1,
    "SO_OOBINLINE": 1,
    "SO_PRIORITY": 4,
    "SO_RCVBUF": 30000,
    "SO_RCVLOWAT": 2,
    "SO_SNDBUF": 40000,
}


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("level", ["fork", "read!", "stop!"])
def test_each_option_is_the_one_that_was_set(
    start: Start, compile_c: Compile, name: str, level: str
) -> None:
    """As at `fork`, where the program sets it on the connection itself."""
    stop = "raise(SIGSTOP);" if level == "stop!" else ""
    path = compile_c(
        program(
            f"int v = {NUMBERS[name]}; socklen_t n = sizeof v; char b[9];"
            f"setsockopt(1, SOL_SOCKET, {name}, &v, n); {stop}"
            f"fgets(b, 9, stdin); v = 0; getsockopt(0, SOL_SOCKET, {name}, &v, &n);"
            'printf("%d", v);'
        )
    )
    server = start(level, path)
    doubled = 2 if name in ("SO_RCVBUF", "SO_SNDBUF") else 1

    assert exchange(server.place, b"a\n") == b"%d" % (NUMBERS[name] * doubled)


def test_limit_on_writes_is_carried_over(start: Start, compile_c: Compile) -> None:
    """It says how long a write may take, and runs when there is one."""
    path = compile_c(
        program(
            "struct timeval v = {7, 0}; socklen_t n = sizeof v; char b[9];"
            "setsockopt(0, SOL_SOCKET, SO_SNDTIMEO, &v, n); fgets(b, 9, stdin); v.tv_sec = 0;"
            'getsockopt(0, SOL_SOCKET, SO_SNDTIMEO, &v, &n); printf("%ld", v.tv_sec);'
        )
    )
    server = start("read!", path)

    assert exchange(server.place, b"a\n") == b"7"


def test_what_nobody_has_set_is_left_to_the_system(start: Start, compile_c: Compile) -> None:
    """A connection has other sizes of buffers by itself than the socket that stands for it."""
    look = (
        "int v; socklen_t n = sizeof v; char b[9]; fgets(b, 9, stdin);"
        'getsockopt(0, SOL_SOCKET, SO_SNDBUF, &v, &n); printf("%d ", v);'
        'printf("%d", fcntl(0, F_GETFL));'
    )
    path = compile_c(program(look))
    answers = {exchange(start(level, path).place, b"a\n") for level in ("fork", "load!", "read!")}

    assert len(answers) == 1


def test_option_that_only_tcp_has_is_not_held(start: Start) -> None:
    """The socket that stands for the connection would refuse it."""
    text = (
        "use Socket qw(:all); setsockopt(STDOUT, IPPROTO_TCP, TCP_NODELAY, 1) or die; $_ = <STDIN>;"
        "print unpack(q(i), getsockopt(STDIN, IPPROTO_TCP, TCP_NODELAY))"
    )
    server = start("read", shlex.join(["perl", "-e", text]), is_quiet=False)

    assert exchange(server.place, b"a\n") == b"1"
    assert reason(server) == "it sets an option that only a real connection has (setsockopt)"
    assert ready(server) == "load"


def test_program_that_wants_signals_for_its_input_is_not_held(
    start: Start, compile_c: Compile
) -> None:
    """They would go to its template, if to anybody."""
    set_flag = "fcntl(0, F_SETFL, O_ASYNC);"
    path = compile_c(
        program(f"signal(SIGIO, SIG_IGN); {set_flag} char b[9]; puts(fgets(b, 9, stdin));")
    )
    server = start("read", path, is_quiet=False)

    assert exchange(server.place, b"a\n").startswith(b"a\n")
    assert reason(server) == "it wants a signal for its input (O_ASYNC), which copies would not get"
