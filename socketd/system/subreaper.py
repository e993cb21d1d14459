"""Whether descendants of ours that lose their parent become our children.

Owns that attribute of this process. Must not know what becomes of them.

It stays across exec(2), and children do not have it.
Source: PR_SET_CHILD_SUBREAPER(2const).
"""

import ctypes

_PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None, use_errno=True)


def adopt_orphans(*, wanted: bool) -> None:
    """Ask the kernel for them, or leave them to the next ancestor that has asked."""
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(wanted), 0, 0, 0)
