"""Listening sockets: created, drained and closed.

Owns bind, socket options and the backlog. Must not know workers. What a UNIX path needs is in
socketfile.

Draining. Closing a listening socket resets every connection in its queue, so a stop first keeps new
ones out, then empties the queue. A UNIX path is unlinked, so clients cannot find the socket any
more. On a TCP socket a filter drops every SYN, and only those: handshakes under way complete, and a
new client gets no answer and tries again after a second. By then the port either refuses it or
belongs to the service's next start, which serves it.

An inherited socket belongs to its owner, who passes it to the next process too: it is never
filtered, drained or unlinked. A stop just accepts no more, and the queue waits.

Some kernels allow such filters only with CAP_NET_ADMIN. Without it the backlog is set to 0: a SYN
is then dropped while one connection waits, which bounds the queue but does not close it. So it is
with an abstract name: it lasts as long as the socket, and nobody can take it off.
"""

import contextlib
import errno
import os
import select
import socket
import struct

from socketd.dataclass import dataclass, replace
from socketd.errors import ListenError, UnknownHostError, UnknownServiceError, describe_errno
from socketd.loop import socketfile, tcp_options
from socketd.settings.address import (
    AbstractAddress,
    Address,
    InheritedAddress,
    TcpAddress,
    UnixAddress,
)
from socketd.settings.tcp_options import USUAL_OPTIONS, TcpOptions
from socketd.system.linklocal import ADVICE, is_without_interface
from socketd.system.ownfile import Inode, inode_at, remove

_LONGEST_PATH = 107  # unix(7): sun_path holds 108 bytes with the final NUL
_SO_ATTACH_FILTER = 26
_TCP_FLAGS_OFFSET = 13
_TCP_SYN = 0x02

# The filter as classic BPF (linux/filter.h), seen from the TCP header: drop what has SYN set.
_DROP_SYN = b"".join(
    struct.pack("=HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, _TCP_FLAGS_OFFSET),  # load a byte
        (0x45, 0, 1, _TCP_SYN),  # if a bit of it is set
        (0x06, 0, 0, 0),  # drop
        (0x06, 0, 0, 0xFFFFFFFF),  # keep
    )
)


@dataclass(frozen=True, slots=True)
class ListenerState:
    """What a re-exec passes on of a listener; there is no descriptor if it is closed."""

    fd: int | None
    inode: tuple[int, int] | None


class Listener:
    """A listening socket, and what must be undone when it is closed.

    `host` and `port` are the numeric address in use, the path and None for a UNIX socket, whose
    abstract name begins with @. `inode` is that of the file of a UNIX socket.
    """

    def __init__(
        self,
        listening: socket.socket,
        address: Address,
        inode: Inode | None = None,
    ) -> None:
        self.socket = listening
        self.address = address
        self.host: str
        self.port: int | None
        self._inode = inode
        if isinstance(address, UnixAddress | AbstractAddress):
            self.host, self.port = str(address), None
        elif listening.family == socket.AF_UNIX:
            self.host, self.port = _unix_name(listening.getsockname()), None
        else:
            self.host, self.port = listening.getsockname()[:2]

    @property
    def is_inherited(self) -> bool:
        """Tell whether the socket belongs to the process that passed it."""
        return isinstance(self.address, InheritedAddress)

    @property
    def port_name(self) -> str | None:
        """Return the service name of the port in use, if it has one."""
        if self.port is None:
            return None
        try:
            return socket.getservbyport(self.port, "tcp")
        except OSError:
            return None

    @property
    def is_lost(self) -> bool:
        """Tell whether clients cannot find the socket: its file is gone or replaced."""
        return (
            isinstance(self.address, UnixAddress)
            and self._inode is not None
            and inode_at(self.address.path) != self._inode
        )

    def __str__(self) -> str:
        """Return `tcp:127.0.0.1:7000`, `tcp:[::]:7000` or `unix:/path`."""
        if self.port is None:
            return f"unix:{self.host}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp:{host}:{self.port}"

    def refuse_new(self) -> None:
        """Keep new connections out; those in the queue can still be accepted."""
        if self.is_inherited:
            return
        if isinstance(self.address, UnixAddress):
            self._unlink()
            return
        if isinstance(self.address, AbstractAddress):
            self.socket.listen(0)
            return
        import ctypes  # which only the end of a server needs

        program = ctypes.create_string_buffer(_DROP_SYN, len(_DROP_SYN))
        instructions = len(_DROP_SYN) // 8
        descriptor = struct.pack("@HP", instructions, ctypes.addressof(program))
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, descriptor)
        except PermissionError:
            self.socket.listen(0)

    def is_queue_empty(self) -> bool:
        """Tell whether no connection is queued that only we can accept."""
        if self.is_inherited:
            return True
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return not poll.poll(0)

    def change(self, address: Address, backlog: int) -> None:
        """Apply settings that can change while the address stays. Raises ListenError."""
        if not self.is_inherited:
            self.socket.listen(backlog)
        if isinstance(address, UnixAddress) and address != self.address:
            try:
                socketfile.set_rights(address, self._inode)
            except OSError as error:
                raise _refused(error, address) from error
        self.set_options(_options_of(address))
        self.address = address

    def set_options(self, options: TcpOptions) -> None:
        """Make these the options for connections to come. Raises ListenError."""
        former = _options_of(self.address)
        if isinstance(self.address, UnixAddress | AbstractAddress) or options == former:
            return
        try:
            if self.socket.family == socket.AF_UNIX:
                raise tcp_options.OptionError("it is a UNIX socket, which has no options of TCP")
            tcp_options.change(self.socket, options, former)
        except tcp_options.OptionError as error:
            raise ListenError(f"server socket: {self.address}: {error}") from error
        self.address = replace(self.address, options=options)

    def state(self) -> ListenerState:
        """Return all that `resume` wants to know."""
        fd = self.socket.fileno()
        return ListenerState(None if fd < 0 else fd, self._inode)

    def close(self) -> None:
        """Close the socket, and remove its path if it is still ours."""
        self._unlink()
        self.socket.close()

    def _unlink(self) -> None:
        if isinstance(self.address, UnixAddress) and self._inode is not None:
            remove(self.address.path, self._inode)
            self._inode = None


def listen(address: Address, backlog: int) -> Listener:
    """Create a listening socket; the kernel caps the backlog at net.core.somaxconn.

    Raises UnknownHostError, UnknownServiceError, and ListenError for whatever the system refuses.
    """
    assert not isinstance(address, InheritedAddress), "adopt() takes what was handed over"
    if isinstance(address, UnixAddress):
        return _listen_unix(address, backlog)
    if isinstance(address, AbstractAddress):
        return _listen_abstract(address, backlog)
    return _listen_tcp(address, backlog)


def adopt(fd: int, address: InheritedAddress) -> Listener:
    """Use a listening socket that was passed to this process; its owner keeps it too.

    Its options are set for its owner as well. Raises ListenError for one that it cannot have.
    """
    listener = Listener(socket.socket(fileno=fd), replace(address, options=USUAL_OPTIONS))
    try:
        listener.set_options(address.options)
    except ListenError:
        listener.socket.close()
        raise
    return listener


def resume(state: ListenerState, address: Address) -> Listener:
    """Use a listening socket that this process had before a re-exec."""
    if state.fd is None:
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    else:
        os.set_inheritable(state.fd, False)
        listening = socket.socket(fileno=state.fd)
    listener = Listener(listening, address, state.inode)
    if state.fd is None:
        listening.close()
    return listener


def _listen_tcp(address: TcpAddress, backlog: int) -> Listener:
    port = _port_number(address.port)
    family, place = _resolve(address.host, port)
    try:
        listening = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        if address.host is not None or error.errno != errno.EAFNOSUPPORT:
            raise _refused(error, address) from error
        # A kernel without IPv6.
        family, place = socket.AF_INET, ("", port)
        listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            only = address.host is not None
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        tcp_options.set_before_bind(listening, address.options)
        listening.bind(place)
        # Before listen(): a connection takes over what is set when it begins.
        tcp_options.set_after_bind(listening, address.options)
        listening.listen(backlog)
    except OSError as error:
        listening.close()
        raise _refused(error, address) from error
    except tcp_options.OptionError as error:
        listening.close()
        raise ListenError(f"server socket: {address}: {error}") from error
    return Listener(listening, address)


def _port_number(port: str) -> int:
    if port.isascii() and port.isdecimal():
        return int(port)
    try:
        return socket.getservbyname(port, "tcp")
    except (OSError, UnicodeError):
        raise UnknownServiceError(
            f"unknown service {port!r}: give a port number or a name of /etc/services"
        ) from None


def _resolve(host: str | None, port: int) -> tuple[int, tuple[object, ...]]:
    """Return family and address to bind: IPv4 first, as in socket 1.1."""
    if host is None:
        return socket.AF_INET6, ("::", port)
    # For text Python would load the idna codec.
    name = host.encode() if host.isascii() else host
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise UnknownHostError(
            f"unknown host {host}: give an address of this machine or a name that resolves to one"
        ) from None
    family, *_, place = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    if family == socket.AF_INET6 and is_without_interface(place):
        raise ListenError(f"server socket: {describe_errno(errno.EINVAL)}: {host}; {ADVICE}")
    return family, place


def _listen_unix(address: UnixAddress, backlog: int) -> Listener:
    path = address.path
    check_unix(address)
    socketfile.find_owner(address)  # report unknown names before anything is created
    with contextlib.ExitStack() as undoing:
        try:
            socketfile.clear_stale(path)
            listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            undoing.callback(listening.close)
            socketfile.make(listening, address)
            # Before listen(): until then no client can connect, whoever owns the file.
            listener = Listener(listening, address, socketfile.claim(listening, address))
            undoing.callback(listener.close)
            listening.listen(backlog)
        except OSError as error:
            raise _refused(error, address) from error
        undoing.pop_all()
    return listener


def _listen_abstract(address: AbstractAddress, backlog: int) -> Listener:
    check_abstract(address)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(b"\0" + os.fsencode(address.name))
        listening.listen(backlog)
    except OSError as error:
        listening.close()
        raise _refused(error, address) from error
    return Listener(listening, address)


def _options_of(address: Address) -> TcpOptions:
    return USUAL_OPTIONS if isinstance(address, UnixAddress | AbstractAddress) else address.options


def resolve_tcp(address: TcpAddress) -> None:
    """Only look up port and host. Raises the errors of `listen`."""
    _resolve(address.host, _port_number(address.port))


def check_unix(address: UnixAddress) -> None:
    """Only check the length of a path. Raises ListenError."""
    _check_length(address.path, "path")


def check_abstract(address: AbstractAddress) -> None:
    """Only check the length of a name. Raises ListenError."""
    _check_length(address.name, "name")


def _check_length(text: str, kind: str) -> None:
    size = len(os.fsencode(text))
    if size > _LONGEST_PATH:
        raise ListenError(
            f"server socket: {describe_errno(errno.ENAMETOOLONG)}: {text!r} has {size} bytes, a "
            f"UNIX {kind} at most {_LONGEST_PATH}"
        )


def _refused(error: OSError, address: Address) -> ListenError:
    advice = {
        errno.EADDRINUSE: "; stop the process that listens there or choose another",
        errno.EADDRNOTAVAIL: "; no interface of this machine has that address",
        errno.EACCES: "; a port below 1024 needs root, a path a writable directory",
        errno.ENOENT: "; its directory does not exist",
    }.get(error.errno or 0, "")
    return ListenError(f"server socket: {describe_errno(error.errno or 0)}: {address}{advice}")


def _unix_name(name: str | bytes) -> str:
    if isinstance(name, bytes):  # unix(7): an abstract name begins with NUL
        name = os.fsdecode(name).replace("\0", "@", 1)
    return name
