"""The signals that the master acts on.

Owns which they are. Must not know what is done about them. Whoever has something to undo before
there is a master blocks them until its loop can handle them.
"""

import signal

from socketd.workers.contract import RING_SIGNAL

STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
WORKER_SIGNALS = frozenset({signal.SIGCHLD, RING_SIGNAL})
RELOAD_SIGNAL = signal.SIGHUP
REPLACE_SIGNAL = signal.SIGUSR2
