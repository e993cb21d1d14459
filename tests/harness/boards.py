"""A look at a running master's board, from outside."""

import contextlib
import mmap
import os

from socketd.workers.layout import ACCEPTED_NS_OFFSET, MAGIC, RECORD_SIZE, SlotState

_HEADER_SIZE = 64


class BoardView:
    """The board of a running master, read only."""

    def __init__(self, master_pid: int) -> None:
        fd = _open_board(master_pid)
        try:
            self._memory = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
        finally:
            os.close(fd)
        assert int.from_bytes(self._memory[0:4], "little") == MAGIC
        self.capacity = int.from_bytes(self._memory[4:8], "little")

    def states(self) -> bytes:
        """Return all state bytes."""
        return self._memory[_HEADER_SIZE : _HEADER_SIZE + self.capacity]

    def count(self, *states: SlotState) -> int:
        """Return how many slots are in one of the states."""
        now = self.states()
        return sum(now.count(state) for state in states)

    @property
    def idle(self) -> int:
        """Return how many workers wait in accept()."""
        return self.count(SlotState.IDLE)

    @property
    def waiting(self) -> int:
        """Return how many workers wait or are about to."""
        return self.count(SlotState.IDLE, SlotState.STARTING)

    @property
    def busy(self) -> int:
        """Return how many workers have a connection."""
        return self.count(SlotState.ACCEPTED, SlotState.BUSY)

    @property
    def queued(self) -> int:
        """Return how many of those who count as idle have a client that waits for a place."""
        first = _HEADER_SIZE + self.capacity + ACCEPTED_NS_OFFSET
        starts = range(first, first + self.capacity * RECORD_SIZE, RECORD_SIZE)
        return sum(
            state == SlotState.IDLE and self._memory[start : start + 8] != bytes(8)
            for state, start in zip(self.states(), starts, strict=True)
        )

    @property
    def alive(self) -> int:
        """Return how many slots are in use."""
        return self.capacity - self.count(SlotState.FREE)


def _open_board(pid: int) -> int:
    folder = f"/proc/{pid}/fd"
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            if "socketd-board" in os.readlink(f"{folder}/{name}"):
                return os.open(f"{folder}/{name}", os.O_RDONLY)
    raise AssertionError(f"process {pid} has no board")
