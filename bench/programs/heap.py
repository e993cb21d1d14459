"""Have 50 MiB in memory before the first line, then answer with that: a large start."""

import sys

DATA = [bytes(1000) for _ in range(50_000)]

sys.stdout.write(sys.stdin.readline())
