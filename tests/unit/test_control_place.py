"""Where the control socket of a server is, if its file does not say."""

import os
import socket
from pathlib import Path

from socketd.control.place import find, find_of_process, usual_path


def test_usual_place_is_the_first_directory_that_there_is() -> None:
    """That of a service manager comes first, then /run for root, and the user's for others."""
    both = {"RUNTIME_DIRECTORY": "/run/a:/run/b", "XDG_RUNTIME_DIR": "/run/user/7"}
    user = {"XDG_RUNTIME_DIR": "/run/user/7"}
    name = str(usual_path("/etc/f", {}, 0)).removeprefix("/run/")

    assert usual_path("/etc/f", both, 7) == f"/run/a/{name}"
    assert usual_path("/etc/f", user, 0) == f"/run/{name}"
    assert usual_path("/etc/f", user, 7) == f"/run/user/7/{name}"
    assert usual_path("/etc/f", {}, 7) is None
    assert usual_path("/etc/f", {"RUNTIME_DIRECTORY": "relative"}, 7) is None


def test_each_file_has_a_name_of_its_own() -> None:
    """Two files have two sockets in the same directory."""
    assert usual_path("/etc/f", {}, 0) != usual_path("/etc/g", {}, 0)


def test_socket_is_found_in_a_directory_that_nobody_has_told(tmp_path: Path) -> None:
    """A socket that somebody listens on is found by its name wherever it is, or by its process."""
    given = usual_path("/etc/f", {"RUNTIME_DIRECTORY": str(tmp_path)}, 7)
    assert given is not None
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(given)
        listening.listen()
        assert find("/etc/f", {}, 7) == given
        assert find_of_process(os.getpid()) == given
    assert find("/etc/f", {"XDG_RUNTIME_DIR": "/run/user/7"}, 7) != given
