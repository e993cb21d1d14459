"""`socketd` that checks what it tells again of a listener; run as a script before its command.

Each time that a listener is in an answer, what was kept of it is compared with what would be
written of it now. The path in SOCKETD_TEST_PORTRAITS is a file that gets a line for each
difference, and for each listener that was told again.
"""

import os
import re
import sys

from socketd.control.authority import Seen
from socketd.control.portrait import Portrait, written
from socketd.master.member import Member
from socketd.master.overview import known_of

VARIABLE = "SOCKETD_TEST_PORTRAITS"
ADD = Portrait.add
_CLOCK = re.compile(rb'"failed_at":[0-9.]+')  # a time of day that is counted back from a clock


def check(portrait: Portrait, seen: Seen) -> None:
    """Add a listener, and say so if what is told of it is not so any more."""
    subject, _ = seen
    member = subject.listener
    assert isinstance(member, Member)
    former = portrait.former.get(member)
    ADD(portrait, seen)
    if former is None or subject.stamp is None or former.stamp != subject.stamp:
        return
    now = written(subject.stamp, *known_of(member, (), subject.stamp).subject.lasting())
    with open(os.environ[VARIABLE], "ab") as file:
        told, true = (_CLOCK.sub(b"", one.head + one.lasting) for one in (former, now))
        file.write(b"again\n" if told == true else b"told %b but is %b\n" % (told, true))


if __name__ == "__main__":
    Portrait.add = check  # type: ignore[method-assign, assignment]  # the purpose
    del sys.argv[0]
    from socketd.cli.entry import main_socketd

    main_socketd()
