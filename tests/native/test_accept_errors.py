"""What each side takes for an error of a connection, and not of the listener."""

import errno
import re
from pathlib import Path

from socketd.loop.transience import TRANSIENT_ERRORS

WORKER = Path(__file__).parents[2] / "native" / "worker.c"


def test_both_workers_go_on_after_the_same_errors() -> None:
    """And so does the server without a program, which has the list of the Python worker."""
    text = re.search(r"is_transient\(int error\)\n\{(.*?)\n\}", WORKER.read_text(), re.DOTALL)
    assert text is not None

    found = {getattr(errno, name) for name in re.findall(r"case (\w+):", text[1])}

    assert found == TRANSIENT_ERRORS
