"""Where workers find copies of a program, and where they say that they have found none.

Owns the abstract addresses of a service (unix(7)), which native/front/favourites.c has too, and the
sockets there. Must not know what is handed over, nor what follows from what is said.

Anybody on the machine can send to an abstract address: the kernel says of which user a sender is.
"""

import contextlib
import os
import socket
import struct
from collections.abc import Callable

from socketd.loop.listeners import Listener
from socketd.settings.address import InheritedAddress

_SO_PASSCRED = 16
_SCM_CREDENTIALS = 2
_CREDENTIALS = struct.Struct("=iII")
_LONGEST_PATH = 4096
# Workers that find it full run the program themselves.
BACKLOG = 16

_FNV_OFFSET = 0xCBF29CE484222325
_FNV_PRIME = 0x100000001B3
_NUMBERS = struct.Struct("<QQQQ")
_NS_PER_SECOND = 1_000_000_000


def new_token() -> str:
    """Return what no other service has in its addresses."""
    return os.urandom(16).hex()


def version_of(found: os.stat_result) -> tuple[int, ...]:
    """Return what tells one version of a file from another."""
    return (found.st_dev, found.st_ino, *divmod(found.st_ctime_ns, _NS_PER_SECOND))


def address_of(token: str, path: str, version: tuple[int, ...]) -> bytes:
    """Return the address at which copies of a program are found."""
    total = _FNV_OFFSET
    for byte in os.fsencode(path) + b"\0" + _NUMBERS.pack(*version):
        total = (total ^ byte) * _FNV_PRIME & 0xFFFFFFFFFFFFFFFF
    return _name(token) + f"-{total:016x}".encode()


def _name(token: str) -> bytes:
    return b"\0socketd-" + token.encode()


class Rendezvous(Listener):
    """The listening socket for copies of a program; in the log it is the service's own listener.

    A connection that waits in its queue is none of a client: to close it loses nothing. Raises
    OSError.
    """

    def __init__(self, token: str, path: str, version: tuple[int, ...], public: Listener) -> None:
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            listening.bind(address_of(token, path, version))
            listening.listen(BACKLOG)
        except OSError:
            listening.close()
            raise
        self._public = public
        super().__init__(listening, InheritedAddress(path))
        self.host, self.port = public.host, public.port

    def close(self) -> None:
        """Close it: from now on nobody is called there, although copies may still have it."""
        with contextlib.suppress(OSError):  # it is closed
            self.socket.shutdown(socket.SHUT_RD)
        super().close()

    def __str__(self) -> str:
        """Return the name of the listener that clients know."""
        return str(self._public)


class Wishes:
    """Where workers say which program they have found no copy of. Raises OSError.

    `is_ours` tells whether a user is one of the service's.
    """

    def __init__(self, token: str, is_ours: Callable[[int], bool]) -> None:
        self._is_ours = is_ours
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_PASSCRED, 1)
            self._socket.bind(_name(token))
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._socket.fileno()

    def take(self, most: int) -> list[str]:
        """Return the paths that have been said, no more than so many."""
        paths = []
        for _ in range(most):
            try:
                content, control, flags, _ = self._socket.recvmsg(
                    _LONGEST_PATH, socket.CMSG_SPACE(_CREDENTIALS.size)
                )
            except (BlockingIOError, InterruptedError):
                break
            if not flags & socket.MSG_TRUNC and self._is_believed(control):
                paths.append(os.fsdecode(content))
        return paths

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()

    def _is_believed(self, control: list[tuple[int, int, bytes]]) -> bool:
        for level, kind, content in control:
            if (level, kind) == (socket.SOL_SOCKET, _SCM_CREDENTIALS):
                _, uid, _ = _CREDENTIALS.unpack_from(content)
                return self._is_ours(uid)
        return False
