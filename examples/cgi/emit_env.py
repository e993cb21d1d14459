#!/usr/bin/env python3
"""Answer with the environment of this request."""

import os
import sys

sys.stdout.write("Content-Type: text/plain; charset=utf-8\r\n\r\n")
for name, value in os.environ.items():
    sys.stdout.write(f"{name}={value}\n")
