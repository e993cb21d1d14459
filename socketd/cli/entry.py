"""The first lines of the command `socket`: a Ctrl-C while the rest is imported ends it quietly.

Python answers SIGINT with an exception from its very start, which would print a traceback. Once
its modules are there, the command answers signals itself. A signal that is ignored stays so.
"""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def main() -> None:
    """Run the command."""
    from socketd.cli import socket

    socket.main()
