"""When the master looks for garbage: what is in a ring, which nothing else finds.

Owns what the interpreter's collector looks at. Must not know what the master keeps, nor why.

To look through all that five hundred services are takes 20 to 50 ms, in which no worker is
replaced, and nearly nothing is found: what they are stays. So nobody looks at it once it is there,
but once after it was changed, and collections look at what was made since.
"""

import gc


def begin() -> None:
    """Look for garbage from now on, in what is made from now on.

    Before, there is next to none, and to look for it would be a twentieth of the whole start.
    """
    gc.enable()
    gc.freeze()  # what is never traversed is not written to either: workers share its pages longer


def leave_alone() -> None:
    """Have no collection look at what there is now, and is going to stay.

    What of it becomes garbage waits for `begin_again`.
    """
    gc.freeze()


def begin_again() -> None:
    """Look through everything once, since a part of what was left alone may be garbage now."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
