"""Errors of accept() that are about a connection, and not about the listener.

Owns the list, for every place that accepts; native/worker.c has it, too. EPERM is not in it: a
security module refuses before a connection is taken off the queue, so the next call fails alike.

Source: accept(2), "Error handling".
"""

import errno

TRANSIENT_ERRORS = frozenset(
    {
        errno.ECONNABORTED,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.EINTR,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENONET,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
        errno.EPROTO,
    }
)
