"""The options of a TCP listener: set, changed and taken back.

Owns the numbers and units of the kernel. Must not know addresses, nor who listens.

All are set on the listener alone. A connection has keepalive, time-out and delay from the listener
that it came by, so no worker makes a system call for them.

Source: tcp(7), socket(7), ip(7); net/ipv4/tcp_minisocks.c for what a connection takes over.
"""

import errno
import math
import os
import socket

from socketd.errors import describe_errno
from socketd.settings.tcp_options import Keepalive, TcpOptions

_IP_FREEBIND = 15
_IPV6_FREEBIND = 78
_MOST = 2**31 - 1
_MILLISECONDS = 1000


class OptionError(Exception):
    """An option that cannot be had; the text says which and why."""


def set_before_bind(bound: socket.socket, options: TcpOptions) -> None:
    """Set what has to be there before a socket is bound. Raises OptionError."""
    if options.is_freebind:
        if bound.family == socket.AF_INET6:
            _set(bound, "freebind", socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
        else:
            _set(bound, "freebind", socket.IPPROTO_IP, _IP_FREEBIND, 1)
    if options.is_reuseport:
        _set(bound, "reuseport", socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if options.interface is not None:
        _set_interface(bound, options.interface)


def change(listening: socket.socket, options: TcpOptions, former: TcpOptions) -> None:
    """Make a bound socket's options these, from those it has. Raises OptionError.

    They count for connections to come. An option that is dropped is off, or the system's own.
    """
    for name in ("is_freebind", "is_reuseport"):
        if getattr(options, name) != getattr(former, name):
            raise OptionError(
                f"{name.removeprefix('is_')} is decided when a socket is bound, and this one is; "
                "restart to change it"
            )
    if options.interface != former.interface:
        _set_interface(listening, options.interface or "")
    if options.defer_seconds != former.defer_seconds:
        seconds = math.ceil(options.defer_seconds or 0.0)
        _set_tcp(listening, "defer_accept", socket.TCP_DEFER_ACCEPT, seconds)
    if options.keepalive != former.keepalive:
        _set_keepalive(listening, options.keepalive)
    if options.user_timeout_seconds != former.user_timeout_seconds:
        milliseconds = math.ceil((options.user_timeout_seconds or 0.0) * _MILLISECONDS)
        _set_tcp(listening, "user_timeout", socket.TCP_USER_TIMEOUT, min(milliseconds, _MOST))
    if options.is_nodelay != former.is_nodelay:
        _set_tcp(listening, "nodelay", socket.TCP_NODELAY, options.is_nodelay)


def set_after_bind(bound: socket.socket, options: TcpOptions) -> None:
    """Set what `set_before_bind` has left. Raises OptionError."""
    at_birth = TcpOptions(options.is_freebind, options.is_reuseport, options.interface)
    change(bound, options, at_birth)


def _set_interface(bound: socket.socket, name: str) -> None:
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, os.fsencode(name))
    except OSError as error:
        advice = {
            errno.ENODEV: "; `ip link` lists those that are there",
            errno.EPERM: "; to change it takes CAP_NET_RAW: restart",
        }.get(error.errno or 0, "")
        reason = describe_errno(error.errno or 0)
        raise OptionError(f"interface {name!r}: {reason}{advice}") from error


def _set_keepalive(listening: socket.socket, keepalive: Keepalive | None) -> None:
    """Set all of it: what is not given is what a fresh socket has."""
    _set(listening, "keepalive", socket.SOL_SOCKET, socket.SO_KEEPALIVE, keepalive is not None)
    if keepalive is None:
        return
    wanted = (
        (socket.TCP_KEEPIDLE, keepalive.idle_seconds),
        (socket.TCP_KEEPINTVL, keepalive.interval_seconds),
        (socket.TCP_KEEPCNT, keepalive.count),
    )
    with socket.socket(listening.family, socket.SOCK_STREAM) as fresh:
        for option, value in wanted:
            usual = fresh.getsockopt(socket.IPPROTO_TCP, option)
            _set_tcp(listening, "keepalive", option, usual if value is None else value)


def _set_tcp(listening: socket.socket, name: str, option: int, value: int) -> None:
    _set(listening, name, socket.IPPROTO_TCP, option, value)


def _set(listening: socket.socket, name: str, level: int, option: int, value: int) -> None:
    try:
        listening.setsockopt(level, option, value)
    except OSError as error:
        raise OptionError(f"{name}: {describe_errno(error.errno or 0)}") from error
