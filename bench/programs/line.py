"""Read one line and answer with it: the smallest service that needs an interpreter."""

import sys

sys.stdout.write(sys.stdin.readline())
