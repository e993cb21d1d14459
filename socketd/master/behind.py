"""An endpoint behind a barrier: what is asked and done there ends in there if it crashes.

Owns the barrier, and that nothing is done for an endpoint that has ended. Must not know what is
done about a crash: whoever derives from it says so by `_put_away`.
"""

import contextlib
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import TypeVar

from socketd.errors import SocketdError
from socketd.master.barrier import Barrier, bug_of, naming
from socketd.master.endpoint import Endpoint

_Answer = TypeVar("_Answer")
_NUMBERS = itertools.count(1)


class Behind(ABC):
    """The endpoint that there is, or none.

    `changed` is a number that no other has had, and another one after each time that something was
    done in here: as long as it is the same, so is all that others can learn of the endpoint, but
    for what its workers say and what only passes.
    """

    def __init__(self) -> None:
        self.changed = next(_NUMBERS)
        self._endpoint: Endpoint | None = None
        self._asking = Barrier(self._put_away)

    @property
    def _barrier(self) -> Barrier:
        """Return the barrier, for something that changes what is behind it."""
        self.note_change()
        return self._asking

    def note_change(self) -> None:
        """Note that something is different now."""
        self.changed = next(_NUMBERS)

    @abstractmethod
    def _put_away(self, error: Exception) -> None:
        """Take a crashed endpoint out of action."""

    def do(self, action: Callable[[Endpoint], object]) -> None:
        """Have the service do something, unless it has ended: its board is closed then."""
        self.note_change()
        endpoint = self._endpoint
        if endpoint is not None and not endpoint.is_finished:
            try:
                action(endpoint)
            except Exception as error:  # noqa: BLE001  nothing goes further
                self._put_away(error)

    def ask(self, question: Callable[[Endpoint], _Answer], otherwise: _Answer) -> _Answer:
        """Return an answer of the endpoint, the other one if there is none, or it crashes."""
        endpoint = self._endpoint
        if endpoint is not None:
            try:  # a context takes as long as most questions
                return question(endpoint)
            except Exception as error:  # noqa: BLE001  nothing goes further
                self._put_away(error)
        return otherwise

    def act(self, action: Callable[[Endpoint], _Answer], otherwise: _Answer) -> _Answer:
        """Have the service do something, and return what came of it; see `ask`."""
        self.note_change()
        return self.ask(action, otherwise)

    def _run(self, action: Callable[[], None]) -> None:
        with self._barrier:
            action()

    @contextlib.contextmanager
    def _telling(self, service: str) -> Iterator[None]:
        """Put a service away that crashes, and say so to the caller by BugError."""
        self.note_change()
        try:
            with naming(service):
                yield
        except SocketdError:
            raise
        except Exception as error:
            self._put_away(error)
            raise bug_of(service, error) from error
