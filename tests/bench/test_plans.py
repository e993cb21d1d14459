"""Plans in the benchmark: every stream has its row, and connections come at the moments given."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from bench import plans, report
from bench.generator import Generator
from bench.launch import unused_port
from bench.processes import wait_until
from harness.clients import connect


def is_listening(place: tuple[str, int]) -> bool:
    """Tell whether somebody accepts there."""
    try:
        connect(place).close()
    except ConnectionRefusedError:
        return False
    return True


def test_every_stream_is_simulated_with_every_strategy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row for each kind of load and each stream, with the lowest price in bold."""
    monkeypatch.setattr(plans, "CONNECTIONS", 40)

    rows = plans.compare(None).splitlines()[2:]

    assert len(rows) == 15
    assert all(row.count("**") == 2 and row.count("|") == 6 for row in rows)


def test_table_is_put_between_marks_of_its_own(tmp_path: Path) -> None:
    """A page may have tables of several commands."""
    page = tmp_path / "page.md"
    page.write_text(f"{plans.BEGIN_MARK}\n{report.END_MARK}\nafter\n")
    report.replace_in(str(page), "new", plans.BEGIN_MARK)

    assert page.read_text() == f"{plans.BEGIN_MARK}\n\nnew\n\n{report.END_MARK}\nafter\n"


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which(os.environ.get("CC", "cc")) is None, reason="no C compiler for the load program"
)
def test_connections_come_at_the_moments_of_a_file(tmp_path: Path) -> None:
    """None before its moment: the last one ends no sooner than that."""
    generator = Generator.build(str(tmp_path))
    moments = tmp_path / "moments"
    moments.write_text("0\n0\n50000000\n100000000\n")
    place = ("127.0.0.1", unused_port())
    address = f"{place[0]}:{place[1]}"
    server = subprocess.Popen([generator.path, "serve", address])
    try:
        assert wait_until(lambda: is_listening(place), 10)
        load = generator.replay(address, str(moments))
    finally:
        server.kill()
        server.wait()

    assert load.errors == {}
    assert len(load.latencies_us) == 4
    assert load.elapsed_us >= 100_000
