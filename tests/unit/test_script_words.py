"""What the text of a script says that copies of its interpreter would have wrong."""

import time

import pytest

from socketd.programs import script_words
from socketd.programs.script_words import find_fault
from socketd.settings.readiness import ReadyLevel

READ, STOP = ReadyLevel.READ, ReadyLevel.STOP

FAULTS = [
    # What has copied its environment lacks the variables.
    ("dash", "read x; echo $REMOTE_ADDR", "REMOTE_ADDR"),
    ("dash", "read x; printenv TCPREMOTEIP", "TCPREMOTEIP"),
    ("zsh", "read x; echo ${REMOTE_PORT:-none}", "REMOTE_PORT"),
    ("mksh", "read x; echo $PROTO", "PROTO"),
    ("ksh93", "read x; echo $SERVER_ADDR", "SERVER_ADDR"),
    ("busybox", "read x; echo $REMOTE_ADDR", "REMOTE_ADDR"),
    ("busybox", '{ print ENVIRON["HOME"] }', "ENVIRON"),  # whichever of its programs it is
    ("gawk", '{ print ENVIRON["REMOTE_ADDR"] }', "ENVIRON"),
    ("mawk", "{ for (name in ENVIRON) print name }", "ENVIRON"),
    ("gawk", r"{ print ENVIRON[name] }", "ENVIRON"),
    ("perl", "<STDIN>; print $ENV{REMOTE_ADDR}", "ENV"),
    ("perl5.36.0", "<STDIN>; print $ENV{'REMOTE_ADDR'}", "ENV"),
    ("perl", "<STDIN>; print %ENV", "ENV"),
    ("perl", "<STDIN>; print $ENV{$name}", "ENV"),
    ("perl", "<STDIN>; print @ENV{qw(HOME REMOTE_ADDR)}", "ENV"),
    ("php8.2", "fgets(STDIN); echo $_SERVER['REMOTE_ADDR'];", "$_SERVER"),
    ("php", "fgets(STDIN); print_r($_ENV);", "$_ENV"),
    ("pypy3.9", "input(); print(os.environ['REMOTE_ADDR'])", "REMOTE_ADDR"),
    # What has the process id of its template.
    ("dash", "read x; echo $$", "$$"),
    ("dash", "read x; echo > /tmp/a.$$", "$$"),
    ("zsh", "read x; echo ${$}", "$$"),
    ("mksh", "read x; echo $RANDOM", "$RANDOM"),
    # What has drawn random numbers in its template.
    ("mawk", "{ print rand() }", "rand"),
    ("gawk", "BEGIN { srand() } { print rand() }", "srand"),
    ("lua5.4", "io.read() print(math.random())", "math.random"),
    ("php8.2", "fgets(STDIN); echo lcg_value();", "lcg_value"),
    ("sort", "-R", "-R"),
    ("sort", "--random-sort", "--random-sort"),
    ("sort", "-k2,2R", "-k2,2R"),
    # What is asked before there is an answer.
    ("bash", 'echo "hello $REMOTE_ADDR"; read x', "REMOTE_ADDR"),
    ("bash", "echo $REMOTE_ADDR", "REMOTE_ADDR"),
    (
        "python3.11",
        "peer = os.environ.get('REMOTE_ADDR')\nfor line in sys.stdin: pass",
        "REMOTE_ADDR",
    ),
]


@pytest.mark.parametrize(("interpreter", "text", "word"), FAULTS)
def test_word_that_copies_would_have_wrong_is_found(interpreter: str, text: str, word: str) -> None:
    """The reason names it as the script does."""
    fault = find_fault(interpreter, [text], READ)

    assert fault is not None
    assert word in fault.split()[3].rstrip(",")


RIGHT = [
    ("dash", "read x; echo $HOME"),
    ("dash", "# not $REMOTE_ADDR\nread x; echo $x"),
    ("dash", "read x; echo $MY_REMOTE_ADDR $REMOTE_ADDRESS $HOME$"),
    ("gawk", '{ print ENVIRON["HOME"] }'),
    ("gawk", "{ print rand() }"),
    ("lua5.4", "print(random.math())"),
    ("sort", "-r"),
    ("sort", "--reverse"),
    ("gawk", r"{ print ENVIRON[\"HOME\"] }"),
    ("perl", "<STDIN>; print $ENV{HOME}, $ENV{'PATH'}, $$, $ENVELOPE"),
    ("php", "fgets(STDIN); echo getenv('REMOTE_ADDR'), $_SERVER['argv'][0];"),
    ("ruby", "gets; puts ENV['REMOTE_ADDR']"),
    ("bash", "read x; echo $REMOTE_ADDR $$ $RANDOM"),
    ("bash", "# for $REMOTE_ADDR\nread x; echo $REMOTE_ADDR"),
    ("python3", "import os, sys\nfor line in sys.stdin: print(os.environ['REMOTE_ADDR'])"),
    ("python3", "def f(): os.environ['REMOTE_ADDR']\nhold.after_fork(f)\nsys.stdin.read()"),
    ("sed", "s/REMOTE_ADDR/x/"),
    ("cat", "$$ $REMOTE_ADDR"),
]


@pytest.mark.parametrize(("interpreter", "text"), RIGHT)
def test_word_that_copies_have_right_is_no_fault(interpreter: str, text: str) -> None:
    """Other variables, comments, interpreters that ask when they are asked, or are mended."""
    assert find_fault(interpreter, [text], READ) is None


def test_each_text_is_looked_at_by_itself() -> None:
    """What one file reads says nothing about when another is run."""
    texts = ["read x", "echo $REMOTE_ADDR"]

    assert find_fault("bash", texts, READ) is not None
    assert find_fault("bash", ["read x; echo $REMOTE_ADDR", "x"], READ) is None


def test_program_that_stops_itself_names_itself_for_that() -> None:
    """Its number is right before it is held."""
    assert find_fault("dash", ["kill -STOP $$; exec cat"], STOP) is None
    assert find_fault("dash", ["kill -s STOP $$; echo $$"], STOP) is not None
    assert find_fault("bash", ["kill -STOP $$; echo $REMOTE_ADDR"], STOP) is None
    assert find_fault("python3", ["import os\nos.environ['REMOTE_ADDR']"], STOP) is None


def test_request_has_more_variables() -> None:
    """Behind a front the variables of the request are as late as those of the connection."""
    text = "read x; echo $QUERY_STRING $HTTP_HOST"

    assert find_fault("dash", [text], READ) is None
    assert find_fault("dash", [text], READ, has_front=True) is not None
    assert find_fault("perl", ["<STDIN>; $ENV{HTTP_HOST}"], READ, has_front=True) is not None


def test_long_text_takes_no_time_that_grows_with_its_square() -> None:
    """The master looks, and serves everybody meanwhile."""
    lines = [" \n" * 100_000, "# " * 100_000, "ENVIRON [ " * 20_000, "kill " * 40_000]
    begun = time.monotonic()

    for interpreter in ("dash", "gawk", "perl", "php", "bash", "python3"):
        for line in lines:
            find_fault(interpreter, [line], STOP)

    assert time.monotonic() - begun < 5.0


def test_other_programs_need_no_text() -> None:
    """Their files are not read."""
    assert script_words.is_known("perl5.36.0")
    assert not script_words.is_known("cat")
    assert not script_words.is_known("perldoc")


def test_script_that_renews_its_environment_has_the_variables_at_stop() -> None:
    """Perl copies its environment at its start; code that does so again runs in copies at stop."""
    looks = "print $ENV{REQUEST_METHOD}"

    for texts in (["-MSocketdHold", looks], [f"use strict;\nuse SocketdHold;\n{looks}"]):
        assert find_fault("perl", texts, STOP, has_front=True) is None
        assert find_fault("perl", texts, READ, has_front=True) is not None
    for texts in ([looks], ["-MSocketdHolder", looks], [f"# use SocketdHold;\n{looks}"]):
        assert find_fault("perl", texts, STOP, has_front=True) is not None
