"""A few functions in C around some of ours, as a library that a test calls.

Owns how that is built: as what checks itself. Must not know what is called.
"""

import ctypes
import subprocess
from pathlib import Path

from harness.native import NATIVE

_CHECKS = ("-fsanitize=undefined", "-fsanitize-undefined-trap-on-error")


def load(compiler: str, folder: Path, text: str, *sources: str) -> ctypes.CDLL:
    """Return a library of a text in C and of files of ours."""
    source, product = folder / "shim.c", folder / "shim.so"
    source.write_text(text)
    flags = [f"@{NATIVE / 'flags'}", "-Werror", "-iquote", str(NATIVE), "-fPIC", "-shared"]
    ours = [str(NATIVE / name) for name in sources]
    subprocess.run([compiler, *flags, *_CHECKS, "-o", str(product), str(source), *ours], check=True)
    return ctypes.CDLL(str(product))
