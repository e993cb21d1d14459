"""The file of a UNIX socket in a directory of somebody else: only that file gets its rights."""

import os
import pwd
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from socketd.errors import ListenError
from socketd.loop import socketfile
from socketd.loop.listeners import Listener, listen
from socketd.settings.address import UnixAddress
from socketd.system.ownfile import inode_at

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change user")

NOBODY = pwd.getpwnam("nobody")
OTHER = pwd.getpwnam("daemon")
OPEN_TO_ALL = 0o666

# In a child that lacks it: who may change owners need not be able to ask for a socket's file.
_WITHOUT_NET_ADMIN = """
import ctypes, sys
from socketd.loop import socketfile
CAP_NET_ADMIN, HEADER = 12, (ctypes.c_uint32 * 2)(0x20080522, 0)
sets = (ctypes.c_uint32 * 6)()
libc = ctypes.CDLL(None)
libc.capget(HEADER, sets)
for place in range(3):
    sets[place] &= ~(1 << CAP_NET_ADMIN)
assert libc.capset(HEADER, sets) == 0
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where to listen: a directory in which somebody else may rename."""
    os.chown(tmp_path, NOBODY.pw_uid, NOBODY.pw_gid)
    monkeypatch.chdir(tmp_path)
    return Path("s")


@pytest.fixture
def precious(path: Path) -> Iterator[Path]:
    """Lend a file of root's that must keep its owner, its mode and its text."""
    file = path.with_name("precious")
    file.write_text("precious")
    file.chmod(0o600)
    yield file
    found = file.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (0, 0, 0o600)
    assert file.read_text() == "precious"


@pytest.fixture(params=["link", "hard link", "socket of theirs"])
def swap(request: pytest.FixtureRequest, path: Path, precious: Path) -> Callable[[], None]:
    """Return what somebody does who may rename: something of root's takes the socket's place."""

    def swap_file() -> None:
        path.rename("moved")
        if request.param == "link":
            path.symlink_to(precious)
        elif request.param == "hard link":
            path.hardlink_to(precious)
        else:
            with socket.socket(socket.AF_UNIX) as theirs:
                theirs.bind(str(path))
            os.chown(path, OTHER.pw_uid, OTHER.pw_gid)

    return swap_file


@pytest.fixture(autouse=True)
def no_mask() -> Iterator[None]:
    """Have the usual umask, which must not show in any mode."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def rights(path: Path) -> tuple[int, int, int]:
    """Return owner, group and mode of a file."""
    found = path.lstat()
    return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)


def address(path: Path, mode: int = OPEN_TO_ALL) -> UnixAddress:
    """Return an address that belongs to somebody else."""
    return UnixAddress(str(path), mode, "nobody", "nogroup")


def test_file_has_owner_and_mode(path: Path) -> None:
    """Whatever the umask; and the umask is as it was."""
    listener = listen(address(path), 4)

    assert rights(path) == (NOBODY.pw_uid, NOBODY.pw_gid, OPEN_TO_ALL)
    assert os.umask(0o022) == 0o022
    listener.close()
    assert not path.exists()


def test_file_has_its_mode_from_the_first_moment(path: Path) -> None:
    """There is no instant in which it is open to more than it shall be, nor a later step."""
    os.umask(0)
    with socket.socket(socket.AF_UNIX) as listening:
        socketfile.make(listening, address(path, 0o640))

        assert rights(path) == (0, 0, 0o640)


def test_file_between_bind_and_owner_is_not_given_away(
    path: Path, swap: Callable[[], None]
) -> None:
    """The socket itself gets the owner, wherever it has been moved; what is in its place, not."""
    with socket.socket(socket.AF_UNIX) as listening:
        socketfile.make(listening, address(path))
        swap()
        before = rights(path)
        try:
            inode = socketfile.claim(listening, address(path))
        except ListenError:
            pytest.skip("this root lacks CAP_NET_ADMIN")

        assert rights(path) == before
        assert inode == inode_at("moved")
        assert rights(Path("moved")) == (NOBODY.pw_uid, NOBODY.pw_gid, OPEN_TO_ALL)


def test_it_is_not_given_away_without_the_right_to_ask(
    path: Path, swap: Callable[[], None]
) -> None:
    """Where the kernel does not say which file the socket has, what lies there is looked at."""
    script = (
        _WITHOUT_NET_ADMIN
        + "import os, socket\nfrom socketd.settings.address import UnixAddress\n"
        + "from socketd.errors import ListenError\n"
        + f"there = {address(path)!r}\n"
        + "listening = socket.socket(socket.AF_UNIX)\n"
        + "socketfile.make(listening, there)\n"
        + "print('made', flush=True)\n"
        + "input()\n"
        + "try: socketfile.claim(listening, there)\n"
        + "except ListenError as error: print(error)\n"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "made\n"
        swap()
        said, _ = child.communicate("\n")

    assert "is not ours any more: another file was put there" in said
    assert child.returncode == 0
    assert rights(Path("moved"))[:2] == (0, 0)


def test_it_is_given_away_without_the_right_to_ask(path: Path) -> None:
    """The socket that was bound is recognized by its kind and owner."""
    script = (
        _WITHOUT_NET_ADMIN + "from socketd.settings.address import UnixAddress\n"
        "from socketd.loop.listeners import listen\n" + f"listen({address(path)!r}, 4)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)

    assert rights(path) == (NOBODY.pw_uid, NOBODY.pw_gid, OPEN_TO_ALL)


def test_file_before_a_change_is_not_given_away(path: Path, swap: Callable[[], None]) -> None:
    """A reload changes the file that was bound, or says that it is not there."""
    listener = listen(UnixAddress(str(path), 0o600), 4)
    swap()

    with pytest.raises(ListenError, match="is not ours any more"):
        listener.change(address(path), 4)

    assert listener.is_lost
    listener.close()
    assert os.path.lexists(path)


def test_change_reaches_the_file(path: Path) -> None:
    """Owner and mode are those that a reload asks for."""
    listener = listen(UnixAddress(str(path), 0o600), 4)
    assert rights(path) == (0, 0, 0o600)

    listener.change(UnixAddress(str(path), 0o606, "daemon"), 4)

    assert rights(path) == (OTHER.pw_uid, 0, 0o606)
    assert not listener.is_lost
    listener.close()


def test_change_needs_no_proc(path: Path) -> None:
    """Where none is mounted a newer system call does the same."""
    script = (
        "from socketd.settings.address import UnixAddress\n"
        "from socketd.loop.listeners import listen\n"
        f"listener = listen(UnixAddress({str(path)!r}, 0o600), 4)\n"
        f"listener.change({address(path)!r}, 4)\n"
    )
    shell = f'mount -t tmpfs none /proc && exec {sys.executable} -c "$SCRIPT"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", shell],
        env={**os.environ, "SCRIPT": script},
        capture_output=True,
        text=True,
        check=False,
    )
    if "Function not implemented" in done.stderr:
        pytest.skip("this kernel lacks fchmodat2(): Linux 6.6 has it")

    assert (done.returncode, done.stderr) == (0, "")
    assert rights(path) == (NOBODY.pw_uid, NOBODY.pw_gid, OPEN_TO_ALL)


def test_refused_owner_leaves_nothing_behind(path: Path) -> None:
    """Who may not give files away is told so, and the path is free again."""
    limited = ["setpriv", "--bounding-set", "-chown", "--inh-caps", "-chown"]
    script = (
        "from socketd.settings.address import UnixAddress\n"
        "from socketd.loop.listeners import listen\n"
        f"listen({address(path)!r}, 4)\n"
    )
    done = subprocess.run(
        [*limited, sys.executable, "-c", script], capture_output=True, text=True, check=False
    )

    assert "Operation not permitted" in done.stderr
    assert not path.exists()


def test_stale_socket_that_was_replaced_is_left_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the question whether anybody listens and the removal a server may have come."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
    successors = []

    def come(_: int, __: str) -> bool:
        path.unlink()
        successors.append(listen(UnixAddress(str(path)), 4))
        return False

    monkeypatch.setattr(socketfile, "_has_listener", come)
    socketfile.clear_stale(str(path))

    assert not successors[0].is_lost
    successors[0].close()


def test_link_to_a_stale_socket_is_not_followed(path: Path) -> None:
    """The socket that it leads to stays, as the link does."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("other")
    path.symlink_to("other")

    with pytest.raises(ListenError, match="is not a socket"):
        listen(UnixAddress(str(path)), 4)

    assert path.is_symlink()
    assert Path("other").is_socket()


def test_folder_that_was_replaced_by_a_link_keeps_what_it_has(path: Path, precious: Path) -> None:
    """The end removes our file, not one of the same name where the path leads by then."""
    folder, other = Path("folder"), Path("other")
    folder.mkdir()
    other.mkdir()
    (other / path).hardlink_to(precious)
    listener: Listener = listen(UnixAddress(str(folder / path)), 4)
    folder.rename("former")
    folder.symlink_to(other)

    assert listener.is_lost
    listener.close()

    assert (other / path).exists()
