"""What is left to the next version comes back as it was."""

import os

from socketd import estate as testament
from socketd.address import Address, InheritedAddress, TcpAddress, UnixAddress
from socketd.config import ServiceSettings
from socketd.confinement import Confinement, ResourceLimit
from socketd.crew import CrewState
from socketd.listeners import ListenerState
from socketd.messages import PoolTimer
from socketd.pool import Deadline, Pool, PoolSettings, Strategy
from socketd.program import Program
from socketd.roster import Heir
from socketd.service import ServiceState
from socketd.succession import Estate
from socketd.systemd import PassedSocket


def heir(address: Address) -> Heir:
    """Return a service with something in every field."""
    pool = PoolSettings(2, 8, Strategy.SURGE, 1.0, 2.0, None, 3.0)
    first = Pool(pool)
    first.start(5.0)
    confinement = Confinement("u", ("g",), "/", 0o22, (ResourceLimit("core", 0, None),), -1, True)
    return Heir(
        ServiceSettings(
            "echo", address, Program("/bin/cat", ("cat",)), {"A": "b"}, pool,
            confinement=confinement, soft_nofile=1024,
        ),
        ListenerState(7, (1, 2)),
        ServiceState(
            first.state(), (Deadline(30.0, 0, is_last=False),),
            CrewState(1, 8, 4, {17: 0}, (0,), (18,)),
            {PoolTimer.SHRINK: 9.5}, (0, 1), 12, True, True, False, "SIGTERM",
        ),
    )  # fmt: skip


def test_estate_is_read_as_it_was_written() -> None:
    """Every address, every state, every timer; and the descriptor is closed."""
    addresses: list[Address] = [
        TcpAddress(None, "80"),
        TcpAddress("::1", "0"),
        UnixAddress("/x", 0o660, "o", "g"),
        InheritedAddress("web", 2),
    ]
    estate = Estate([heir(address) for address in addresses], (3, 4))
    passed = [PassedSocket(5, "web")]
    fd = os.memfd_create("estate")
    os.write(fd, testament.write(estate, passed, 256))

    assert testament.read(fd) == (estate, passed, 256)


def test_descriptors_of_an_estate_are_all_that_must_live_on() -> None:
    """Listeners that are still open, boards, and the doorbell."""
    one = heir(TcpAddress(None, "80"))
    gone = Heir(one.settings, ListenerState(None, None), one.state)

    assert sorted(Estate([one, gone], (3, 4)).fds) == [3, 4, 7, 8, 8]
