"""`socket -s` without a port: the listening sockets that a service manager passed.

Owns what that means for the command line. Must not know the protocol.
"""

import os
from collections.abc import MutableMapping

from socketd.cli.options import CommandLine
from socketd.errors import ListenError, UsageError
from socketd.loop.listeners import Listener, adopt
from socketd.operations.systemd import take_passed_sockets
from socketd.settings.address import InheritedAddress


def passed_listeners(line: CommandLine, environment: MutableMapping[str, str]) -> list[Listener]:
    """Return all passed sockets; none if the command line has an address.

    Removes the activation variables. Raises ListenError if no usable socket was passed, UsageError
    for -B without a port.
    """
    if line.operands:
        return []
    if line.has("bind"):
        raise UsageError("-B needs a port: a passed socket has its address already")
    owner = environment.get("LISTEN_PID")
    passed = take_passed_sockets(environment, os.getpid())
    if not passed:
        raise ListenError(
            f"no port is given, and the sockets of LISTEN_FDS are for process {owner}, not for "
            f"this one ({os.getpid()}); give a port, or have the manager exec socket directly"
        )
    # Several may have the same name, or none: their position identifies them.
    return [
        adopt(one.fd, InheritedAddress(one.name, position)) for position, one in enumerate(passed)
    ]
