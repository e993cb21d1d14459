"""Texts that nearly are what a parser wants: most random text is refused at its first letter.

Owns the making of inputs. Must not know which parser they are for, nor what becomes of them.
"""

import re
from collections.abc import Sequence

from hypothesis import strategies as st

# Digits, letters and blanks of other scripts, what no codec takes, what ends lines and C strings.
ODD = ("\u0663", "\u00b2", "\u01c5", "\u00a0", "\u2028", "\ud800", "\udcff", "\x85", "\n", "\x1b")
# The same for numbers: beyond 64 bits, and longer than int() reads.
NUMBERS = ("0", "-0", "00", "1", "-1", "65535", "65536", "4294967295", str(2**63), str(2**64))
LONG_NUMBER = "9" * 5000


def mixed(parts: Sequence[str], most: int = 8) -> st.SearchStrategy[str]:
    """Return texts of parts of what is understood, odd characters, numbers and anything."""
    piece = st.one_of(
        st.sampled_from(sorted(parts)),
        st.sampled_from(ODD + NUMBERS),
        st.text(max_size=3),
    )
    return st.lists(piece, max_size=most).map("".join)


# Of the surrogates only those that stand for a byte which is no UTF-8, see surrogateescape.
_NOT_OF_BYTES = re.compile("[\0\ud800-\udc7f\udd00-\udfff]")


def words(parts: Sequence[str]) -> st.SearchStrategy[str]:
    """Return texts as they come in arguments and variables, which are bytes without a NUL."""
    return mixed(parts).map(lambda text: _NOT_OF_BYTES.sub("", text))
