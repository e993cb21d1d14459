"""`python -m control.pictures FOLDER`: the pictures of `socketd top` that the documents have.

They are of made-up services and clients, and of minutes that nobody has to wait for.
"""

import asyncio
import random
import re
import sys
from pathlib import Path

import msgspec
from metrics.pictures import go_on, made_up

from harness.controls import Document
from socketd.control.document import State, Worker
from socketd.display.application import Application
from socketd.display.messages import Heard, Key, Listed
from socketd.display.model import Model

SECONDS = 400
SIZE = (100, 24)
WEB = ("web", "unix:/run/web.sock")


def state_of(document: Document) -> State:
    """Return a document as a server's answer is read."""
    return msgspec.json.decode(msgspec.json.encode(document), type=State)


def clients(chance: random.Random) -> tuple[Worker, ...]:
    """Return workers that serve somebody."""
    return tuple(
        Worker(
            number=number,
            pid=4300 + number,
            state="busy",
            generation=3,
            age_seconds=chance.uniform(100, 4000),
            connection_seconds=chance.expovariate(0.2),
            peer=f"192.0.2.{chance.randint(1, 254)}:{chance.randint(32768, 60999)}",
            cpu_seconds=chance.expovariate(2.0),
            rss_bytes=chance.randint(2, 40) << 20,
        )
        for number in range(16)
    )


async def draw(folder: Path) -> None:
    """Draw the listeners of a server, and the workers of one of them with a question."""
    chance = random.Random(1)
    application = Application(Model())
    async with application.run_test(size=SIZE) as pilot:
        document = made_up()
        document["server"]["reloads"]["last"]["errors"] = []
        for second in range(SECONDS):
            go_on(document, chance)
            if second % 60 < 20:
                document["services"][1]["listeners"][0]["queue"]["length"] = 0
            document["server"]["answered_at"] = document["server"]["started_at"] + 400_000
            application.happen(Heard(state_of(document), float(second)))
        await pilot.pause()
        save(application, folder / "top.svg")
        application.happen(Key("down"))
        application.happen(Key("enter"))
        application.happen(Listed(WEB, clients(chance)))
        application.happen(Key("k"))
        await pilot.pause()
        save(application, folder / "top-workers.svg")


def save(application: Application, path: Path) -> None:
    """Write what is on the screen; the picture loads nothing from elsewhere."""
    text = application.export_screenshot(title="socketd top")
    path.write_text(re.sub(r"\s*@font-face \{.*?\}", "", text, flags=re.DOTALL))


if __name__ == "__main__":
    asyncio.run(draw(Path(sys.argv[1])))
