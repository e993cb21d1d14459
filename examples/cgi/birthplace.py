"""The process that this interpreter was started in: whoever imports this later can compare."""

import os

PID = os.getpid()
