"""When a master looks for garbage: not in what its services are, as long as they stay."""

from collections.abc import Callable
from pathlib import Path

from harness.supervisors import Supervisor
from harness.waiting import wait_for

TOLD = """\
import gc
freeze = gc.freeze
def told():
    freeze()
    with open({path!r}, "a") as file:
        file.write(f"{{gc.get_freeze_count()}}\\n")
gc.freeze = told
"""


def test_services_are_left_alone_once_they_are_up(
    supervise: Callable[..., Supervisor], tmp_path: Path
) -> None:
    """From then on, also after a reload and in the next version, which each change what stays."""
    seen = tmp_path / "seen"
    (tmp_path / "sitecustomize.py").write_text(TOLD.format(path=str(seen)))

    def counts() -> list[int]:
        return [int(line) for line in seen.read_text().splitlines()]

    text = '[service.s]\nlisten = ["tcp:127.0.0.1:0"]\nprogram = "cat"\nready = "fork"\n'
    server = supervise(text, environment={"PYTHONPATH": str(tmp_path)})
    server.place("s")
    begun, up = wait_for(lambda: counts() if len(counts()) == 2 else [], "all is up")
    assert up > begun
    server.reload()
    assert len(counts()) == 3
    server.replace()
    begun, up = wait_for(lambda: counts()[3:] if len(counts()) == 5 else [], "so is the next")
    assert up > begun
