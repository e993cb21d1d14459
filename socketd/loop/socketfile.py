"""The file of a UNIX socket: creating it, its owner and mode, removing it.

Owns that file, in a directory where other users may rename files (see ownfile). Must not know who
listens.

Owner and mode are set through a descriptor of the file (O_PATH, and O_NOFOLLOW: a symbolic link is
no socket), after checking what it is. So a file that takes its place in between is not changed. The
socket has its mode from the first moment: bind(2) creates it with 0777 minus the umask. fchmod() on
the socket before bind() is not enough: the umask is still subtracted.
"""

import contextlib
import errno
import fcntl
import os
import socket
import stat

from socketd.errors import ListenError, SystemFailureError, describe_errno
from socketd.settings.address import UnixAddress
from socketd.system.accounts import find_group, find_user
from socketd.system.ownfile import Inode, closing, inode_of, opened_folder, remove, unlink

_SIOCUNIXFILE = 0x89E0  # linux/un.h: the file of a bound socket, as an O_PATH descriptor
_AT_EMPTY_PATH = 0x1000
_SYS_FCHMODAT2 = 452  # on every architecture of Linux 6.6 and later but alpha
_ALL_MODES = 0o777
_PATH_FLAGS = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


def find_owner(address: UnixAddress) -> tuple[int, int]:
    """Return user and group of a path, -1 for unchanged. Raises ListenError for unknown names."""
    try:
        owner = -1 if address.owner is None else find_user(address.owner)[0]
        group = -1 if address.group is None else find_group(address.group)
    except SystemFailureError as error:
        raise ListenError(f"server socket {address.path!r}: {error}") from None
    return owner, group


def make(listening: socket.socket, address: UnixAddress) -> None:
    """Bind a socket to its path, with the mode of the address. Raises OSError."""
    if address.mode is None:
        listening.bind(address.path)
        return
    before = os.umask(_ALL_MODES & ~address.mode)
    try:
        listening.bind(address.path)
    finally:
        os.umask(before)


def claim(listening: socket.socket, address: UnixAddress) -> Inode:
    """Give the file of a bound socket to its owner, and return its inode.

    Raises OSError, with the file removed, and ListenError if another one is in its place.
    """
    owner, group = find_owner(address)
    with closing(_open_bound(listening, address.path)) as fd:
        inode = inode_of(os.fstat(fd))
        try:
            _give(fd, owner, group)
        except OSError:
            remove(address.path, inode)
            raise
        return inode


def set_rights(address: UnixAddress, inode: Inode | None) -> None:
    """Change owner and mode of the file with this inode. Raises OSError or ListenError."""
    owner, group = find_owner(address)
    with closing(os.open(address.path, _PATH_FLAGS)) as fd:
        if inode_of(os.fstat(fd)) != inode:
            raise _not_ours(address.path)
        _give(fd, owner, group)
        if address.mode is not None:
            _set_mode(fd, address.mode)


def clear_stale(path: str) -> None:
    """Remove a socket without a listener; leave everything else alone.

    Raises ListenError if it has a listener or is no socket, and OSError if that cannot be
    determined.
    """
    in_use = f"server socket: {describe_errno(errno.EADDRINUSE)}: {path!r}"
    with contextlib.ExitStack() as stack:
        try:
            folder, name = stack.enter_context(opened_folder(path))
            fd = stack.enter_context(closing(os.open(name, _PATH_FLAGS, dir_fd=folder)))
        except OSError:
            return  # bind() will report what is wrong, if anything
        found = os.fstat(fd)
        if not stat.S_ISSOCK(found.st_mode):
            raise ListenError(f"{in_use} is not a socket; remove it or choose another path")
        if _has_listener(fd, path):
            raise ListenError(f"{in_use} has a live server; stop it or choose another path")
        # While the descriptor is open no other file gets this inode number.
        unlink(folder, name, inode_of(found))


def _has_listener(fd: int, path: str) -> bool:
    """Tell whether a process listens on a socket file. Raises PermissionError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        for place in (f"/proc/self/fd/{fd}", path):
            try:
                probe.connect(place)
            except FileNotFoundError:
                continue  # /proc is not mounted: use the path
            except ConnectionRefusedError:
                return False
            except PermissionError:
                raise
            except OSError:
                return True  # a full queue, or a socket of another type: it is in use
            return True
    return False


def _open_bound(listening: socket.socket, path: str) -> int:
    try:
        return fcntl.ioctl(listening, _SIOCUNIXFILE)
    except OSError:
        pass  # it needs CAP_NET_ADMIN
    fd = os.open(path, _PATH_FLAGS)
    found = os.fstat(fd)
    # bind() created a socket with one name, of this user: another such file in the same directory
    # would have to be ours, too.
    if not stat.S_ISSOCK(found.st_mode) or found.st_nlink != 1 or found.st_uid != os.geteuid():
        os.close(fd)
        raise _not_ours(path)
    return fd


def _not_ours(path: str) -> ListenError:
    return ListenError(
        f"server socket: {path!r} is not ours any more: another file was put there; "
        "choose a directory where others cannot"
    )


def _give(fd: int, owner: int, group: int) -> None:
    if (owner, group) != (-1, -1):
        _call("fchownat", fd, b"", owner, group, _AT_EMPTY_PATH)


def _set_mode(fd: int, mode: int) -> None:
    try:
        os.chmod(f"/proc/self/fd/{fd}", mode)
    except FileNotFoundError:  # no /proc is mounted
        _call("syscall", _SYS_FCHMODAT2, fd, b"", mode, _AT_EMPTY_PATH)


def _call(function: str, *arguments: int | bytes) -> None:
    """Call a function of libc that Python does not offer."""
    import ctypes  # which few servers need

    if getattr(ctypes.CDLL(None, use_errno=True), function)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, describe_errno(number))
