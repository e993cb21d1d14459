"""An address as people type it: shorter than in a file, and a path may be relative.

Owns its forms. Must not know who listens there.
"""

from socketd.errors import UsageError
from socketd.settings.address import Address, parse_listen
from socketd.system.directory import absolute

_ADDRESSES = "HOST:PORT, PORT, a path with a slash in it, @NAME or fd:NAME"


def typed_place(text: str) -> Address:
    """Read `HOST:PORT`, `PORT`, a path with a slash, `@NAME`, or any form of a file.

    Raises UsageError, which has the text as it was typed.
    """
    if text.startswith(("tcp:", "unix:", "fd:")):
        whole = text
    elif text.startswith("@"):
        whole = f"unix:{text}"
    else:
        whole = f"unix:{absolute(text)}" if "/" in text else f"tcp:{text}"
    try:
        return parse_listen(whole)
    except UsageError:
        raise UsageError(f"{text!r} is no address to listen on: give {_ADDRESSES}") from None
