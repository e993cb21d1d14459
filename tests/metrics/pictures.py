"""`python -m metrics.pictures FOLDER`: the picture of the page that the documents have.

It is of made-up services, so that all there is to see is on it.
"""

import copy
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

from harness.browsers import browsing
from harness.controls import Document, controlled, example
from metrics.serving import serve, url_of

SECONDS = 62
STEP_SECONDS = 0.25
SIZE = (1280, 1130)
SERVICES = (
    ("echo", "tcp:127.0.0.1:7000", "/usr/bin/cat", "none", 8),
    ("web", "unix:/run/web.sock", "/srv/cgi", "fcgi", 16),
    ("git", "tcp:[::]:9418", "/usr/lib/git-core/git-daemon", "none", 32),
    ("finger", "tcp:0.0.0.0:79", "/usr/sbin/in.fingerd", "none", 4),
    ("metrics", "tcp:127.0.0.1:9750", "/usr/bin/python3", "none", 4),
)


def made_up() -> Document:
    """Return a state with more services than the example has."""
    document = example()
    some = document["services"][0]
    document["services"] = []
    for name, address, program, front, most in SERVICES:
        service = copy.deepcopy(some) | {"name": name, "program": program, "front": front}
        listener = service["listeners"][0]
        listener["address"] = address
        listener["workers"]["max"] = most
        listener["failures"] = {"count": 0, "reason": "", "failed_at": None}
        document["services"].append(service)
    finger = document["services"][3]["listeners"][0]
    finger["level"] |= {"wanted": "read", "reason": "the program has two threads", "is_auto": False}
    document["server"]["started_at"] = time.time() - 400_000
    return document


def go_on(document: Document, chance: random.Random) -> None:
    """Have something happen in the state."""
    document["server"]["answered_at"] = time.time()
    for number, service in enumerate(document["services"]):
        listener = service["listeners"][0]
        workers = listener["workers"]
        is_full = service["name"] == "web"
        busy = workers["max"] if is_full else chance.randint(1, max(1, workers["max"] // 2))
        idle = min(3, workers["max"] - busy)
        workers |= {"busy": busy, "idle": idle, "retiring": 0}
        board = ["W"] * busy + ["_"] * idle
        chance.shuffle(board)
        listener["board"] = "".join(board)
        listener["queue"]["length"] = chance.randint(2, 9) if is_full else 0
        listener["connections"]["accepted"] += chance.randint(1, 4) * (number + 1)
    if chance.random() < 0.1:
        document["services"][3]["listeners"][0]["refused"]["denied"] += 1


def main(folder: Path) -> None:
    """Draw it."""
    chance = random.Random(1)
    is_over = threading.Event()
    with tempfile.TemporaryDirectory() as name, controlled(Path(name) / "control") as control:
        control.document = made_up()
        go_on(control.document, chance)
        server = serve(control.path)
        try:
            with browsing() as browser:
                browser.show_as(*SIZE)
                browser.open(url_of(server))
                end = time.monotonic() + SECONDS
                while time.monotonic() < end and not is_over.wait(STEP_SECONDS):
                    go_on(control.document, chance)
                (folder / "page.png").write_bytes(browser.picture())
        finally:
            server.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
