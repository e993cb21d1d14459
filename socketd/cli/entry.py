"""The entry points of both commands: a Ctrl-C while modules are imported ends them quietly.

From its start Python turns SIGINT into an exception, which would print a traceback. Once its
modules are imported, a command handles signals itself. An ignored signal stays ignored.

Client mode pays for every import, so this is the part of signal in C, which has no enumerations.
"""

import gc

TYPE_CHECKING = False  # typing's, without typing
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def main() -> None:
    """Run the command `socket`."""
    from socketd.cli import socket

    socket.main()


def main_socketd() -> None:
    """Run the command `socketd`."""
    gc.disable()  # nothing of what is imported now is garbage; the master enables it again
    from socketd.cli import socketd

    socketd.main()
