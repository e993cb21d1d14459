"""A process that must not be signalled: it ends with the first signal, of whatever kind.

Its first argument is the user that it becomes. It leads a group of its own.
"""

import os
import signal
import sys

_STATUS = 9


def _end(*_: object) -> None:
    os._exit(_STATUS)


os.setpgid(0, 0)
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    if number < signal.SIGRTMIN:
        signal.signal(number, _end)
os.setresuid(*[int(sys.argv[1])] * 3)
sys.stdout.write("\n")
sys.stdout.flush()
sys.stdout.close()
while True:
    signal.pause()
