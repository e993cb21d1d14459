"""The one wait of the master: whatever has a descriptor has its place in it."""

import ctypes
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from socketd.loop.doorbell import Doorbell
from socketd.loop.sources import READABLE, WRITABLE, Source, Sources

_IN_CREATE = 0x100


@pytest.fixture
def sources() -> Iterator[Sources]:
    """Lend sources of which none is there yet."""
    with Sources() as sources:
        yield sources


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Lend the two ends of a pipe."""
    ends = os.pipe()
    yield ends
    for fd in ends:
        os.close(fd)


def test_each_source_has_its_own_action(sources: Sources) -> None:
    """Who is ready is called, with what it is ready for, and nobody else."""
    heard: list[tuple[str, int]] = []

    def hear(name: str, events: int) -> None:
        heard.append((name, events))

    with ExitStack() as stack:
        pairs = [[stack.enter_context(one) for one in socket.socketpair()] for _ in range(3)]
        for name, (own, _) in zip("abc", pairs, strict=True):
            sources.add(own.fileno(), partial(hear, name))
        pairs[0][1].send(b"x")
        pairs[2][1].send(b"x")
        sources.wait(10)

    assert sorted(heard) == [("a", READABLE), ("c", READABLE)]


def test_time_ends_the_wait(sources: Sources, pipe: tuple[int, int]) -> None:
    """Where nothing comes, nothing is called."""
    sources.add(pipe[0], lambda _: pytest.fail("nothing has come"))

    sources.wait(0.001)


def test_kinds_of_the_kernel_are_sources(sources: Sources, tmp_path: Path) -> None:
    """A process that ends, a folder that changes and a client that connects wake the loop."""
    heard: list[str] = []
    handles: dict[str, Source] = {}

    def hear(name: str, _: int) -> None:
        heard.append(name)
        handles[name].remove()

    libc = ctypes.CDLL(None, use_errno=True)
    with ExitStack() as stack:
        child = os.posix_spawn("/bin/cat", ["cat"], {}, file_actions=[(os.POSIX_SPAWN_CLOSE, 0)])
        process = os.pidfd_open(child)
        stack.callback(os.waitpid, child, 0)
        stack.callback(os.close, process)
        folder = libc.inotify_init1(os.O_CLOEXEC)
        stack.callback(os.close, folder)
        assert libc.inotify_add_watch(folder, bytes(tmp_path), _IN_CREATE) >= 0
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        kinds = (("process", process), ("folder", folder), ("listener", listener.fileno()))
        handles |= {name: sources.add(fd, partial(hear, name)) for name, fd in kinds}
        (tmp_path / "new").touch()
        stack.enter_context(socket.create_connection(listener.getsockname()))
        while len(heard) < len(kinds):
            sources.wait(10)

    assert sorted(heard) == ["folder", "listener", "process"]


def test_who_is_removed_by_another_hears_no_more(sources: Sources) -> None:
    """Not even of what the same wait has found."""
    heard: list[int] = []
    with ExitStack() as stack:
        pairs = [[stack.enter_context(one) for one in socket.socketpair()] for _ in range(2)]
        handles: list[Source] = []

        def hear(place: int, _: int) -> None:
            heard.append(place)
            handles[1 - place].remove()

        for place, (own, other) in enumerate(pairs):
            handles.append(sources.add(own.fileno(), partial(hear, place)))
            other.send(b"x")
        sources.wait(10)
        sources.wait(0)

    assert len(set(heard)) == 1


def test_number_that_is_used_again_is_another_source(sources: Sources) -> None:
    """A descriptor that was removed and closed leaves nothing behind for the next of its number."""
    heard: list[str] = []
    first, first_end = os.pipe()
    keeper = os.dup(first)  # somebody else has a copy, so epoll would go on
    source = sources.add(first, lambda _: heard.append("first"))
    os.write(first_end, b"x")
    source.remove()
    os.close(first)
    second, second_end = os.pipe()
    try:
        assert second == first
        sources.add(second, lambda _: heard.append("second"))
        sources.wait(0)
        assert heard == []
        os.write(second_end, b"x")
        sources.wait(10)
    finally:
        for fd in (keeper, first_end, second, second_end):
            os.close(fd)

    assert heard == ["second"]


def test_source_may_wait_for_room_and_stop(sources: Sources) -> None:
    """What is waited for changes with what there is to do."""
    heard: list[int] = []
    own, other = socket.socketpair()
    with own, other:
        source = sources.add(own.fileno(), heard.append)
        sources.wait(0)
        source.watch(READABLE | WRITABLE)
        sources.wait(10)
        other.send(b"x")
        sources.wait(10)
        source.watch(READABLE)
        sources.wait(10)
        source.remove()
        source.remove()
        sources.wait(0)

    assert heard == [WRITABLE, READABLE | WRITABLE, READABLE]


def test_what_an_action_raises_costs_no_news(sources: Sources) -> None:
    """The wait ends with it; whoever was not called yet is called the next time."""
    heard: list[str] = []
    with ExitStack() as stack:
        pairs = [[stack.enter_context(one) for one in socket.socketpair()] for _ in range(2)]

        def fail(_: int) -> None:
            failing.remove()
            raise KeyError

        failing = sources.add(pairs[0][0].fileno(), fail)
        sources.add(pairs[1][0].fileno(), lambda _: heard.append("other"))
        for _, other in pairs:
            other.send(b"x")
        with pytest.raises(KeyError):
            sources.wait(10)
        sources.wait(10)

    assert heard[-1] == "other"


def test_source_that_is_added_by_an_action_is_heard_from_then_on(sources: Sources) -> None:
    """A listener adds its clients."""
    heard: list[bytes] = []
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def accept(_: int) -> None:
            client, _ = listener.accept()
            stack.enter_context(client)
            sources.add(client.fileno(), lambda _: heard.append(client.recv(10)))

        sources.add(listener.fileno(), accept)
        client = stack.enter_context(socket.create_connection(listener.getsockname()))
        client.send(b"hello")
        while not heard:
            sources.wait(10)

    assert heard == [b"hello"]


def test_doorbell_is_a_source_like_any_other(sources: Sources) -> None:
    """A signal and a byte of a worker wake the same wait, which only takes note of them."""
    with Doorbell((signal.SIGUSR1,), bell=signal.SIGUSR1) as doorbell:
        doorbell.watch(sources)
        for ring in (
            lambda: signal.raise_signal(signal.SIGUSR1),
            lambda: os.write(doorbell.write_fd, b"x"),
            lambda: threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGUSR1)).start(),
        ):
            before = doorbell.has_rung
            ring()
            sources.wait(10)
            assert (before, doorbell.has_rung) == (False, True)
            assert doorbell.take() == {signal.SIGUSR1}
            sources.wait(0)
        assert not doorbell.has_rung
