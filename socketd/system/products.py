"""Where the native products lie, and whether they were built when the package was installed.

Owns their paths. Must not know what they do.
"""

import os

_PACKAGE = os.path.dirname(os.path.dirname(__file__))
_FOLDER = os.path.join(_PACKAGE, "native")
HOLD_SCRIPT = os.path.join(_PACKAGE, "hold.py")
ZYGOTE = os.path.join(_FOLDER, "socketd-zygote")
HOLD_OBJECT = os.path.join(_FOLDER, "socketd-hold.so")
SCGI_WRAPPER = os.path.join(_FOLDER, "scgi2cgi")
FCGI_WRAPPER = os.path.join(_FOLDER, "fcgi2cgi")
NOT_BUILT = (
    "the native worker was not built when socketd was installed; install a C compiler and install "
    "socketd again"
)


def is_built() -> bool:
    """Tell whether there are native workers."""
    return os.access(ZYGOTE, os.X_OK)
