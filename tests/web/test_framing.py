"""What a program complains of before its answer begins does not cost the answer, with nginx."""

import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.extent import by_extent
from harness.webservers import requesting
from web.conftest import COMBINATIONS, Web, serving

pytestmark = pytest.mark.slow

# nginx reads what comes before an answer into a buffer of a page, which holds the head of the
# answer as well. So what matters is where each record ends in a page.
PAGE = 4096
LONGEST = 20_000
STEP = by_extent(97, 1)
NEAR_A_PAGE = by_extent(range(-32, 33, 5), range(-160, 161))
AT_ONCE = 6
SOURCE = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* QUERY_STRING: how much to complain of, in pieces of which size, and the head in which pieces. */
static void write_in_pieces(int fd, const char *bytes, size_t size, size_t piece)
{
    for (size_t step; size > 0; bytes += step, size -= step)
        step = (size_t)write(fd, bytes, size < piece ? size : piece);
}

int main(void)
{
    static char complaint[1 << 20];
    static const char head[] = "Content-Type: text/plain\r\nX-Long: "
        "0123456789012345678901234567890123456789012345678901234567890123456789\r\n\r\nfine";
    size_t size, piece, head_piece;

    if (sscanf(getenv("QUERY_STRING"), "%zu,%zu,%zu", &size, &piece, &head_piece) != 3)
        return 1;
    memset(complaint, 'x', size);
    write_in_pieces(2, complaint, size, piece);
    write_in_pieces(1, head, sizeof head - 1, head_piece);
    return 0;
}
"""


@pytest.fixture(scope="module", params=["tcp", "unix"])
def complaining(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Web]:
    """Return nginx in front of a program that complains, by FastCGI on kept connections."""
    compiler = next(filter(shutil.which, ("cc", "gcc", "clang")), None)
    if compiler is None:
        pytest.skip("no C compiler is installed")
    folder = tmp_path_factory.mktemp("complaining")
    (folder / "complain.c").write_text(SOURCE)
    subprocess.run(
        [compiler, "-O1", "-static", "-o", "complain", "complain.c"], cwd=folder, check=True
    )
    way = next(
        one
        for one in COMBINATIONS
        if (one.kind, one.protocol, one.listener) == ("nginx", "fastcgi", request.param)
    )
    with serving(way, folder) as web:
        yield web


def _failures(
    web: Web, cases: list[tuple[int, int, int]]
) -> list[tuple[tuple[int, int, int], int]]:
    """Ask for each case, several at once; return those that are not answered as they should."""

    def ask_all(some: list[tuple[int, int, int]]) -> list[tuple[tuple[int, int, int], int]]:
        failed = []
        for case in some:
            query = ",".join(map(str, case))
            with requesting(web.place, f"/cgi-bin/complain?{query}") as answer:
                if (answer.status, answer.read()) != (200, b"fine"):
                    failed.append((case, answer.status))
        return failed

    with ThreadPoolExecutor(AT_ONCE) as pool:
        parts = pool.map(ask_all, (cases[first::AT_ONCE] for first in range(AT_ONCE)))
        return [one for part in parts for one in part]


def test_complaints_of_any_length_do_not_cost_the_answer(complaining: Web) -> None:
    """Written at once before the head: every length, above all those that end near a page."""
    lengths = {*range(1, LONGEST + 1, STEP)}
    for pages in range(1, LONGEST // PAGE + 1):
        lengths |= {pages * PAGE + distance for distance in NEAR_A_PAGE}

    assert _failures(complaining, [(length, length, 200) for length in sorted(lengths)]) == []


@pytest.mark.parametrize(("piece", "head_piece"), [(1000, 1), (37, 7), (4096, 200), (70_000, 3)])
def test_complaints_and_heads_may_come_in_pieces(
    complaining: Web, piece: int, head_piece: int
) -> None:
    """However a program writes the two: a byte at a time, or more than any buffer."""
    lengths = [3, 3900, 3990, 4080, 4090, 8170, 16_300, 16_384, 30_001, 70_001, 300_001]

    assert _failures(complaining, [(length, piece, head_piece) for length in lengths * 3]) == []


def test_complaints_reach_the_log_of_the_web_server(complaining: Web) -> None:
    """Those that come before the head are in the log, also where only the head was asked for."""
    with requesting(complaining.place, "/cgi-bin/complain?10,10,200", method="HEAD") as answer:
        assert answer.status == 200

    complaining.server.wait_logged('FastCGI sent in stderr: "xxxxxxxxxx"')
