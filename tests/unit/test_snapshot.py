"""What is left to the next version comes back as it was, or is refused in one line."""

import dataclasses
import json
import os
import socket

import pytest
from fuzz.texts import mixed
from hypothesis import example, given, reject
from hypothesis import strategies as st

from socketd.config.services import ServiceSettings
from socketd.errors import SystemFailureError
from socketd.loop.listeners import ListenerState
from socketd.master import snapshot as document
from socketd.master.endpoints import EndpointSnapshot
from socketd.master.reexec import Snapshot
from socketd.master.state import EndpointState
from socketd.operations.systemd import PassedSocket
from socketd.pool.messages import PoolTimer
from socketd.pool.policy import Pool
from socketd.pool.settings import PoolSettings, Strategy
from socketd.pool.timelimit import Deadline, EndReason
from socketd.programs.command import Program
from socketd.settings.address import (
    AbstractAddress,
    Address,
    InheritedAddress,
    TcpAddress,
    UnixAddress,
)
from socketd.settings.confinement import Confinement, ResourceLimit
from socketd.settings.readiness import ReadyLevel
from socketd.settings.tcp_options import Keepalive, TcpOptions
from socketd.workers.ledger import Slot
from socketd.workers.processes import ProcessesState
from socketd.workers.spawner import ServingTemplate


def endpoint(address: Address) -> EndpointSnapshot:
    """Return a service with something in every field."""
    pool = PoolSettings(2, 8, Strategy.SURGE, 1.0, 2.0, None, 3.0)
    first = Pool(pool)
    first.start(5.0)
    confinement = Confinement("u", ("g",), "/", 0o22, (ResourceLimit("core", 0, None),), -1, True)
    return EndpointSnapshot(
        ServiceSettings(
            "echo", address, Program("/bin/cat", ("cat",)), {"A": "b"}, pool,
            confinement=confinement, soft_nofile=1024,
        ),
        ListenerState(7, (1, 2)),
        EndpointState(
            first.state(), (Deadline(30.0, 0, is_last=False, reason=EndReason.IDLE),),
            ProcessesState(
                1, 8, 4, {17: 0}, (0,), (18,), (16, 18), (0, 65534),
                {0: Slot(1, 5, 7), 1: Slot(1, 6, is_seen_idle=True)},
                ServingTemplate(18, 9, ReadyLevel.READ),
            ),
            {PoolTimer.SHRINK: 9.5}, 12, True, True, False, "SIGTERM", {"denied": 3},
        ),
    )  # fmt: skip


# One of each kind.
ADDRESSES: list[Address] = [
    TcpAddress(None, "80"),
    TcpAddress("::1", "0", TcpOptions(interface="lo", keepalive=Keepalive(60, 7))),
    AbstractAddress("a"),
    UnixAddress("/x", 0o660, "o", "g"),
    InheritedAddress("web", 2),
]


def test_snapshot_is_read_as_it_was_written() -> None:
    """Every address, every state, every timer; and the descriptor is closed."""
    snapshot = Snapshot([endpoint(address) for address in ADDRESSES], (3, 4))
    passed = [PassedSocket(5, "web")]
    fd = os.memfd_create("snapshot")
    os.write(fd, document.write(snapshot, passed, 256))

    assert document.read(fd) == (snapshot, passed, 256)


def test_descriptors_of_a_snapshot_are_all_that_must_live_on() -> None:
    """Listeners that are still open, boards, the pipes of templates, and the doorbell."""
    one = endpoint(TcpAddress(None, "80"))
    gone = EndpointSnapshot(one.settings, ListenerState(None, None), one.state)

    assert sorted(Snapshot([one, gone], (3, 4)).fds) == [3, 4, 7, 8, 8, 9, 9]


WRITTEN = document.write(Snapshot([endpoint(UnixAddress("/x", 0o660))], (3, 4)), [], 256)
anything = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(),
        st.binary(max_size=9),
        mixed(("unix:", "tcp:", "fd:", "fork", "eager")).filter(lambda text: text.isprintable()),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.integers(0, 9), inner),
    max_leaves=4,
)


def read(content: bytes) -> bytes | None:
    """Return what a snapshot is once it is read and written, None if it is refused."""
    fd = os.memfd_create("snapshot")
    os.write(fd, content)
    try:
        return document.write(*document.read(fd))
    except SystemFailureError as error:
        complaint = str(error)
    assert len(complaint.splitlines()) == 1
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
    return None


def replaced(value: object, path: list[int], other: object) -> object:
    """Return a structure in which something else stands at a place below it."""
    if not path or not isinstance(value, dict | list) or not value:
        return other
    key = list(value)[path[0] % len(value)] if isinstance(value, dict) else path[0] % len(value)
    copy: dict[object, object] | list[object] = value.copy()
    copy[key] = replaced(value[key], path[1:], other)
    return copy


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6), anything)
def test_snapshot_with_a_strange_part_is_read_or_refused(path: list[int], other: object) -> None:
    """And what is read is what was written."""
    content = json.dumps(replaced(json.loads(WRITTEN), path, other), default=repr).encode()
    found = read(content)

    assert found is None or read(found) == found


@given(st.binary(max_size=200), st.integers(0, len(WRITTEN)), st.integers(0, 20))
@example(b"", 0, 0)
@example(b"", 0, len(WRITTEN))
@example(b"[" * 100_000, 0, 0)
def test_bytes_that_are_no_snapshot_are_refused(insert: bytes, at: int, cut: int) -> None:
    """In one line, and the descriptor is closed all the same."""
    found = read(WRITTEN[:at] + insert + WRITTEN[at + cut :])

    assert found is None or read(found) == found


def test_snapshot_on_a_closed_descriptor_is_refused() -> None:
    """As one that holds nonsense."""
    fd = os.memfd_create("snapshot")
    os.close(fd)

    with pytest.raises(SystemFailureError, match=f"descriptor {fd} holds nothing"):
        document.read(fd)


@given(mixed(("3", "-1", "+")))
@example("9" * 5000)
@example("\u0663")
def test_descriptor_of_a_snapshot_is_a_number(text: str) -> None:
    """Or what the variable holds is refused in one line."""
    try:
        fd = document.descriptor_of(text)
    except SystemFailureError as error:
        complaint = str(error)
    else:
        assert text.isascii()
        assert fd == int(text)
        return
    assert len(complaint.splitlines()) == 1


@given(st.builds(ServiceSettings, relay=st.none()))
def test_every_field_of_the_settings_is_passed_on(settings: ServiceSettings) -> None:
    """A field that is added and not passed on would differ."""
    snapshot = Snapshot(
        [dataclasses.replace(endpoint(settings.address), settings=settings)], (3, 4)
    )
    try:
        written = document.write(snapshot, [], None)
    except OverflowError:  # a number that no setting is
        reject()
    fd = os.memfd_create("snapshot")
    os.write(fd, written)

    # By their texts: a number that is none is not equal to itself.
    assert repr(document.read(fd)[0].endpoints[0].settings) == repr(settings)


def test_service_that_is_put_away_is_passed_on() -> None:
    """One that has crashed has no state, but settings, a listener and processes that are left."""
    away = dataclasses.replace(endpoint(TcpAddress(None, "80")), state=None, remains=(17, 18))
    fd = os.memfd_create("snapshot")
    os.write(fd, document.write(Snapshot([away], (3, 4), crashes=2), [], None))
    snapshot, _, _ = document.read(fd)

    assert (snapshot.endpoints, snapshot.crashes) == ([away], 2)


@pytest.mark.parametrize("text", ["0", "1", "2"])
def test_standard_descriptor_is_no_snapshot(text: str) -> None:
    """Whoever sets the variable to one would lose the very stream that says so."""
    with pytest.raises(SystemFailureError, match="is not the number of a descriptor"):
        document.descriptor_of(text)


def test_file_without_an_end_is_not_read() -> None:
    """Only a file in memory is read: /dev/zero never ends, a pipe may never begin."""
    for fd in (os.open("/dev/zero", os.O_RDONLY), os.pipe()[0], os.open("/", os.O_RDONLY)):
        with pytest.raises(SystemFailureError, match="holds nothing"):
            document.read(fd)


def test_descriptors_of_a_snapshot_are_looked_at() -> None:
    """What it names must be open, and of the kind that it is named as."""
    good = endpoint(TcpAddress(None, "80"))
    regular = os.memfd_create("board")
    reading, writing = os.pipe()
    with socket.socket() as listening:
        state = good.state
        assert state is not None
        sound = dataclasses.replace(
            good,
            listener=ListenerState(listening.fileno(), None),
            state=dataclasses.replace(
                state,
                processes=dataclasses.replace(
                    state.processes,
                    board_fd=regular,
                    serving=ServingTemplate(18, writing, ReadyLevel.READ),
                ),
            ),
        )
        assert sound.state is not None
        processes = dataclasses.replace(
            sound.state.processes, serving=ServingTemplate(18, regular, ReadyLevel.READ)
        )
        no_pipe = dataclasses.replace(
            sound, state=dataclasses.replace(sound.state, processes=processes)
        )
        passed = PassedSocket(listening.fileno(), "web")
        document.check_descriptors(Snapshot([sound], (reading, writing)), [passed])
        for snapshot, sockets in (
            (Snapshot([sound], (regular, writing)), []),
            (Snapshot([sound], (reading, 2**70)), []),
            (Snapshot([sound], (reading, writing)), [PassedSocket(regular, "web")]),
            (Snapshot([good], (reading, writing)), []),
            (Snapshot([no_pipe], (reading, writing)), []),
        ):
            with pytest.raises(SystemFailureError, match="which it names as a"):
                document.check_descriptors(snapshot, sockets)
    for fd in (regular, reading, writing):
        os.close(fd)
