"""What two versions of this program agree on before one leaves its services to the other.

Owns the number of the snapshot's format and the variable that leads to a snapshot. Must not know
what is in one; see snapshot.py.

Raise VERSION with any change of the structures in snapshot.py or of what they hold (the layout of
the board, the numbers in the pipe of a template and the phases of the pool among them): a version
that does not know the format refuses before it replaces the running one.
"""

from socketd.errors import SystemFailureError

VERSION = 21
SNAPSHOT_VARIABLE = "SOCKETD_SNAPSHOT_FD"


def check_version(version: int) -> None:
    """Raise SystemFailureError if this program could not go on where one of that version stops."""
    if version != VERSION:
        raise SystemFailureError(
            f"the running version passes its state on in format {version}, this one reads format "
            f"{VERSION}; restart the service"
        )
