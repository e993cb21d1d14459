"""Functions of a program that are called in its copies, for what only the program can renew."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.clients import exchange

from .conftest import Compile, Start
from .sources import program

pytestmark = pytest.mark.slow

PYTHON = sys.executable
TEMPLATES = Path(__file__).parents[2] / "docs" / "templates.md"
Script = Callable[..., str]


def example(language: str) -> str:
    """Return the example of a hook in the documents."""
    blocks = re.findall(rf"```{language}\n(.*?)```", TEMPLATES.read_text(), re.DOTALL)
    [found] = [block for block in blocks if "after_fork" in block]
    return str(found)


@pytest.mark.parametrize("level", ["fork", "load!", "read!"])
def test_example_in_python(start: Start, script: Script, level: str) -> None:
    """The script of the documents draws other numbers in each copy, and runs at every level."""
    server = start(level, f"{PYTHON} {script(example('python'))}")

    assert len({exchange(server.place, b"a\n") for _ in range(5)}) == 5


@pytest.mark.parametrize("level", ["fork", "load!", "read!"])
def test_example_in_c(start: Start, compile_c: Compile, level: str) -> None:
    """So does the program, which draws by the time, so that one alone shows nothing."""
    server = start(level, compile_c(example("c"), "-rdynamic"))

    numbers = [exchange(server.place, b"a\n") for _ in range(5)]

    assert all(number.strip().isdigit() for number in numbers)
    assert len(set(numbers)) == 5 or level != "read!"


@pytest.mark.parametrize("level", ["read", "stop"])
def test_function_is_called_once_in_each_copy_that_has_its_connection(
    start: Start, script: Script, level: str
) -> None:
    """In the order of the calls, with the variables, the streams and the signals of the copy."""
    path = script(
        "import os, signal, subprocess, sys\n"
        "from socketd.hold import after_fork\n"
        "calls = []\n"
        "@after_fork\n"
        "def note():\n"
        "    calls.append('REMOTE_PORT' in os.environ)\n"
        "    calls.append(signal.pthread_sigmask(signal.SIG_BLOCK, []) == set())\n"
        "    calls.append(subprocess.run(['true']).returncode)\n"
        "after_fork(lambda: print('hello', *calls, flush=True))\n"
        "if sys.argv[1] == 'stop': os.kill(os.getpid(), signal.SIGSTOP)\n"
        "print(sys.stdin.readline(), end='')\n"
    )
    server = start(f"{level}!", f"{PYTHON} {path} {level}")

    said = [exchange(server.place, b"a\n") for _ in range(3)]

    assert said == [b"hello True True 0\na\n"] * 3


@pytest.mark.parametrize("command", [f"{PYTHON}", f"{PYTHON} -m socketd.hold"])
def test_function_is_never_called_where_nothing_is_copied(
    start: Start, script: Script, command: str
) -> None:
    """Also where socketd does not run the script at all, which is the same to it."""
    path = script(
        "from socketd.hold import after_fork\nafter_fork(lambda: print('called'))\nprint(input())\n"
    )
    for level in ("fork", "load!"):
        server = start(level, f"{command} {path}")

        assert exchange(server.place, b"a\n") == b"a\n"


def test_module_that_is_imported_ahead_may_have_one(start: Start, script: Script) -> None:
    """`python -m socketd.hold` runs a script in its copies; what it imports ran in the template."""
    script("from socketd.hold import after_fork\nafter_fork(lambda: print('called'))\n", "dice.py")
    path = script("import dice\nprint('ran')\n", "script.py")
    server = start("stop!", f"{PYTHON} -m socketd.hold {path}")

    assert [exchange(server.place) for _ in range(2)] == [b"called\nran\n"] * 2


@pytest.mark.parametrize(
    ("failure", "said", "status"),
    [("1 / 0", b"ZeroDivisionError", 1), ("sys.exit(5)", b"", 5)],
)
def test_copy_whose_function_fails_does_not_go_on(
    start: Start, script: Script, failure: str, said: bytes, status: int
) -> None:
    """It ends as a script with that error ends: what was to be renewed is not."""
    path = script(
        "import sys\nfrom socketd.hold import after_fork\n"
        f"after_fork(lambda: {failure})\nprint(sys.stdin.read(), 'went on')\n"
    )
    server = start("read!", f"{PYTHON} {path}", is_quiet=False)

    answer = exchange(server.place)

    assert said in answer
    assert b"went on" not in answer
    assert server.wait_statuses(1) == [status]


def test_function_of_a_library_is_found(start: Start, compile_c: Compile) -> None:
    """Whoever exports the symbol, as long as the program has loaded it where all may find it."""
    library = compile_c(
        '#include <unistd.h>\nvoid socketd_hold_after_fork(void) { write(1, "called\\n", 7); }\n',
        "-shared", "-fPIC",
    )  # fmt: skip
    body = f'char c; dlopen("{library}", RTLD_NOW | RTLD_GLOBAL); read(0, &c, 1);'
    server = start("read!", compile_c(program(body, "#include <dlfcn.h>\n")))

    assert exchange(server.place, b"a") == b"called\n"
