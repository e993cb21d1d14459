"""An endpoint behind a barrier: what is asked and done there ends in there if it crashes.

Owns the barrier, and that nothing is done for an endpoint that has ended. Must not know what is
done about a crash: whoever derives from it says so by `_put_away`.
"""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import TypeVar

from socketd.errors import SocketdError
from socketd.master.barrier import Barrier, bug_of, naming
from socketd.master.endpoint import Endpoint

_Answer = TypeVar("_Answer")


class Behind(ABC):
    """The endpoint that there is, or none."""

    def __init__(self) -> None:
        self._endpoint: Endpoint | None = None
        self._barrier = Barrier(self._put_away)

    @abstractmethod
    def _put_away(self, error: Exception) -> None:
        """Take a crashed endpoint out of action."""

    def do(self, action: Callable[[Endpoint], object]) -> None:
        """Have the service do something, unless it has ended: its board is closed then."""
        endpoint = self._endpoint
        if endpoint is not None and not endpoint.is_finished:
            with self._barrier:
                action(endpoint)

    def ask(self, question: Callable[[Endpoint], _Answer], otherwise: _Answer) -> _Answer:
        """Return an answer of the endpoint, the other one if there is none, or it crashes."""
        endpoint = self._endpoint
        if endpoint is not None:
            with self._barrier:
                return question(endpoint)
        return otherwise

    def _run(self, action: Callable[[], None]) -> None:
        with self._barrier:
            action()

    @contextlib.contextmanager
    def _telling(self, service: str) -> Iterator[None]:
        """Put a service away that crashes, and say so to the caller by BugError."""
        try:
            with naming(service):
                yield
        except SocketdError:
            raise
        except Exception as error:
            self._put_away(error)
            raise bug_of(service, error) from error
