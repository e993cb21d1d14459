"""The files that we ship for web servers, as far as they can be read without one."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from harness.webservers import CONTRIB, SHIPPED, own_command

pytestmark = pytest.mark.slow

FILES = sorted(path for kind in SHIPPED for path in (CONTRIB / kind).iterdir())


@pytest.mark.parametrize("file", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_files_name_a_command_that_there_is(file: Path) -> None:
    """Each says how to start what it needs, with options that we have and its own address."""
    text = file.read_text()
    command = shlex.split(re.findall(r"^#     (socketd cgi .*)$", text, re.MULTILINE)[0])
    asked = [own_command("socketd"), "cgi", "--help"]
    known = subprocess.run(asked, capture_output=True, text=True, check=True).stdout

    assert [word for word in command if word.startswith("--") and f"{word} " not in known] == []
    address = command[3]
    assert [line for line in text.splitlines() if address in line and line[:1] != "#"] != []


def test_there_is_a_file_for_each_server_and_protocol() -> None:
    """Nobody is left out."""
    assert [f"{path.parent.name}/{path.name}" for path in FILES] == [
        f"{kind}/socketd-{protocol}.conf"
        for kind, protocols in SHIPPED.items()
        for protocol in protocols
    ]
