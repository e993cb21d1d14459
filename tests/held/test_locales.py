"""The locale of the environment: read before main(), once for all copies, and not chosen."""

import pytest

from harness.clients import exchange
from harness.sanitized import IS_WANTED

from .conftest import ON_A_SHORTCUT, Compile, Start
from .sources import program

pytestmark = pytest.mark.slow

HEAD = r"""
#include <locale.h>

static int is_read(void)
{
    static char line[8192];
    int found = 0;
    FILE *file = fopen("/proc/self/maps", "r");

    while (fgets(line, sizeof line, file))
        found |= strstr(line, "/LC_CTYPE") || strstr(line, "/locale-archive");
    fclose(file);
    return found;
}
"""
READ = "char c; int before = is_read(); read(0, &c, 1);"
CHOOSE = r"""
printf("%s %zu", setlocale(LC_ALL, 0), MB_CUR_MAX);
const char *name = setlocale(LC_ALL, "");
printf(", %s %zu, %d %d\n", name ? name : "none", MB_CUR_MAX, before, is_read());
"""


@ON_A_SHORTCUT
def test_locale_is_there_before_a_program_asks_for_it(start: Start, compile_c: Compile) -> None:
    """It is still in the locale C when main() begins, as it is at `fork`."""
    path = compile_c(program(READ + CHOOSE, HEAD))
    executed, held = (
        exchange(start(level, path, LC_ALL="C.UTF-8").place, b"x") for level in ("fork", "load!")
    )
    if not executed.endswith(b" 0 1\n"):
        pytest.skip("this libc reads no file for C.UTF-8")

    assert executed == b"C 1, C.UTF-8 6, 0 1\n"
    assert held == b"C 1, C.UTF-8 6, 1 1\n"


@ON_A_SHORTCUT
def test_program_that_changes_its_environment_has_the_locale_it_names(
    start: Start, compile_c: Compile
) -> None:
    """What was read before is not what it gets then."""
    path = compile_c(program('setenv("LC_ALL", "C", 1);' + READ + CHOOSE, HEAD))
    server = start("load!", path, LC_ALL="C.UTF-8")

    assert exchange(server.place, b"x").startswith(b"C 1, C 1, ")


@pytest.mark.parametrize("level", ["fork", "load!"])
def test_locale_that_does_not_exist_is_refused_as_ever(
    start: Start, compile_c: Compile, level: str
) -> None:
    """No error of ours, and none of the program's more than at `fork`."""
    path = compile_c(program(READ + CHOOSE, HEAD))
    server = start(level, path, LC_ALL="xx_YY.missing")

    assert exchange(server.place, b"x").startswith(b"C 1, none 1, ")


@pytest.mark.skipif(IS_WANTED, reason="a library that checks calls setlocale() itself")
def test_nothing_is_read_for_a_program_that_chooses_none(start: Start, compile_c: Compile) -> None:
    """It would be mapped in each copy for nothing."""
    path = compile_c(program(READ + r'printf("%d\n", before);', HEAD))
    server = start("load!", path, LC_ALL="C.UTF-8")

    assert exchange(server.place, b"x") == b"0\n"
