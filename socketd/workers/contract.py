"""The signals between the master and its workers; docs/signals.md says what each means.

Owns the numbers. native/pool_signals.h has them, too, and a test holds the two against each other.
"""

import signal

RETIRE_SIGNAL = signal.SIGWINCH  # to a worker: take on nothing more. Its default is to be ignored.
RING_SIGNAL = signal.SIGUSR1  # to the master: look at the board
