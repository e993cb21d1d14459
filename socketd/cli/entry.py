"""The first lines of both commands: a Ctrl-C while the rest is imported ends them quietly.

Python answers SIGINT with an exception from its very start, which would print a traceback. Once
its modules are there, a command answers signals itself. A signal that is ignored stays so.
"""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def main() -> None:
    """Run the command `socket`."""
    from socketd.cli import socket

    socket.main()


def main_socketd() -> None:
    """Run the command `socketd`."""
    from socketd.cli import socketd

    socketd.main()
