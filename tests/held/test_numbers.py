"""Random numbers and process ids that programs remember: no two connections get the same."""

import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.clients import exchange

from .conftest import Compile, Start, ready, reason
from .sources import program

pytestmark = pytest.mark.slow

PHP = ["php", "-d", "default_socket_timeout=-1", "-r"]
SQLITE = """
import sqlite3, sys
draw = lambda: connection.execute("select random()").fetchone()[0]
connection = sqlite3.connect(":memory:")
draw(); sys.stdin.readline(); print(draw())
"""

# Each draws before it reads its line, and tells what it draws next.
MENDED = {
    "bash": ["bash", "-c", "first=$RANDOM; read line; echo $RANDOM$RANDOM"],
    "bash unused": ["bash", "-c", "read line; echo $RANDOM$RANDOM"],
    "bash mktemp": ["bash", "-c", "read line; echo /tmp/x.$$"],
    "ruby": ["ruby", "-e", "rand; gets; puts rand"],
    "ruby shuffle": ["ruby", "-e", "a = [*1..99]; a.shuffle; gets; puts a.shuffle.inspect"],
    "php": [*PHP, "mt_rand(); fgets(STDIN); echo mt_rand();"],
    "php rand": [*PHP, "rand(); fgets(STDIN); echo rand(), str_shuffle('abcdefghijk');"],
    "perl": ["perl", "-e", "rand; $_ = <STDIN>; print rand"],
    "perl shuffle": ["perl", "-MList::Util=shuffle", "-e", "rand; <>; print shuffle(1..99)"],
    "python sqlite": [sys.executable, "-c", SQLITE],
}


@pytest.mark.parametrize("name", MENDED)
def test_copies_draw_their_own_numbers(start: Start, name: str) -> None:
    """Whatever the program has drawn before, or has chosen for a seed."""
    if shutil.which(MENDED[name][0]) is None:
        pytest.skip(f"{MENDED[name][0]} is not installed")
    server = start("read!", shlex.join(MENDED[name]))

    drawn = [exchange(server.place, b"\n") for _ in range(5)]

    assert len(set(drawn)) == 5
    assert b"" not in drawn


def test_sqlite_draws_other_numbers_for_each_client(start: Start, tmp_path: Path) -> None:
    """Its command reads what to do from its client, and may have drawn before."""
    if shutil.which("sqlite3") is None:
        pytest.skip("sqlite3 is not installed")
    script = tmp_path / "start.sql"
    script.write_text("create table t(number); insert into t values(random());\n")
    server = start("read!", f"sqlite3 -batch -init {script} :memory:")

    drawn = [exchange(server.place, b"select random();\n") for _ in range(5)]

    assert len(set(drawn)) == 5


def test_nss_draws_other_bytes_in_each_copy(start: Start, compile_c: Compile) -> None:
    """It has made some ahead, and does not notice a fork."""
    body = """
        unsigned char b[99]; NSS_NoDB_Init(0); PK11_GenerateRandom(b, 7);
        if (read(0, b, 1) < 0) return 1;
        PK11_GenerateRandom(b, 9); PK11_GenerateRandom(b + 9, 90);
        for (int i = 0; i < 99; i++) printf("%02x%s", b[i], i == 8 ? " " : "");
    """
    head = "#include <nss.h>\n#include <pk11func.h>\n"
    flags = ["-I/usr/include/nss", "-I/usr/include/nspr", "-lnss3"]
    server = start("read!", compile_c(program(body, head), *flags))

    drawn = [exchange(server.place, b"x").split() for _ in range(4)]

    assert [len(set(column)) for column in zip(*drawn, strict=True)] == [4, 4]


def test_process_id_of_bash_is_that_of_the_copy(start: Start) -> None:
    """`$$` is what scripts make names of files of, and what they are to be signalled by."""
    server = start("read!", "bash -c 'read line; echo $$ $BASHPID $(echo $$)'")

    said = [exchange(server.place, b"\n").split() for _ in range(3)]

    assert all(len(set(pids)) == 1 for pids in said)
    assert len({pids[0] for pids in said}) == 3


# Programs that let nobody renew what they draw from.
REFUSED = {
    "mawk": ["mawk", "{ print rand() }"],
    "gawk": ["gawk", "BEGIN { srand() } { print rand() }"],
    "lua5.4": ["lua5.4", "-e", "math.random() io.read() print(math.random())"],
    "sort": ["sort", "-R"],
    "php": [*PHP, "lcg_value(); fgets(STDIN); echo lcg_value();"],
}


@pytest.mark.parametrize("name", REFUSED)
def test_program_whose_numbers_cannot_be_renewed_is_not_held(start: Start, name: str) -> None:
    """It is loaded ahead, and draws what it draws when it is started."""
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    server = start("read", shlex.join(REFUSED[name]), is_quiet=False)

    assert exchange(server.place, b"\n")
    assert "which its copies would share" in reason(server)
    assert ready(server) == "load"


# Places in which perl may be when it reads; each prints a number and what it has read.
PERL_PLACES = {
    "sort": "my @a = sort { $line //= <STDIN>; $a <=> $b } 3, 1, 2; print @a, rand, $line",
    "regex": "'x' =~ /x(?{ $line = <STDIN> })/; print rand, $line",
    "arguments": "sub f { $_[299] } print f(1 .. 299, scalar <STDIN>), rand",
    "list": "print join(',', (1 .. 126), scalar(<STDIN>), 'end'), rand",
    "select": "my $v = ''; vec($v, 0, 1) = 1; my ($r, $n); do { $n = () = (1 .. 125,"
    " $r = select($v, undef, undef, undef)) } while $r < 0; print rand, $n, $r, scalar <STDIN>",
    "sysread": "sysread STDIN, $line, 99; print rand, $line",
    "begin": "BEGIN { $line = <STDIN> } print rand, $line",
    "destroy": "{ package P; sub DESTROY { $main::line = <STDIN> } } { my $p = bless {}, 'P' }"
    " print rand, $line",
    "eval": "eval { die 'kept' }; $! = 2; $line = <STDIN>; print rand, $@, $! + 0, $line",
    "strict": "use strict; use warnings FATAL => 'all'; my $text = <STDIN>; print rand, $text",
    "taken": "BEGIN { *CORE::GLOBAL::srand = sub { die } } print scalar(<STDIN>), rand",
    "signal": "$SIG{USR1} = sub { $line = <STDIN> }; kill USR1 => $$; print rand, $line",
    "topic": "for (1 .. 2) { local $_ = <STDIN> // ''; print rand, $_ }",
    "format": "$~ = 'F'; format F =\n@<<<<<<<<<<<<<\n<STDIN>\n.\nwrite; print rand",
}


@pytest.mark.parametrize("place", PERL_PLACES)
def test_perl_is_seeded_wherever_it_reads(
    start: Start, script: Callable[..., str], place: str
) -> None:
    """It goes on as without: no variable, no error and no value on its stack is another."""
    if shutil.which("perl") is None:
        pytest.skip("perl is not installed")
    path = script(f"#!/usr/bin/perl\nour $line; our $first = rand;\n{PERL_PLACES[place]}\n")
    plain = start("fork", path)
    server = start("read!", path)

    said = [exchange(server.place, b"one two\n") for _ in range(3)]

    numbers = [split_number(answer) for answer in said]
    [expected] = {split_number(exchange(plain.place, b"one two\n"))[1]}
    assert [rest for _, rest in numbers] == [expected] * 3
    assert len({number for number, _ in numbers}) == 3
    assert server.wait_statuses(3) == [0] * 3


def split_number(answer: bytes) -> tuple[bytes, bytes]:
    """Return the numbers between 0 and 1 in an answer, and what is left without them."""
    numbers = re.findall(rb"0\.\d{5,}(?:e-\d+)?", answer)
    return b" ".join(numbers), re.sub(rb"0\.\d{5,}(?:e-\d+)?", b"#", answer)


def test_script_that_perl_reads_from_its_client_is_seeded(start: Start) -> None:
    """Then it is held while it looks for the first word of the script."""
    if shutil.which("perl") is None:
        pytest.skip("perl is not installed")
    server = start("read!", "perl")

    assert len({exchange(server.place, b"print rand;\n") for _ in range(3)}) == 3
