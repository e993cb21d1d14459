"""The pool's policy: events in, commands out.

Owns the worker states, the strategies, back-off and drain. Must not know the operating system:
no signal, socket, process, clock or log; the caller passes `now` and carries the commands out.
"""

from socketd.pool.policy import Pool
from socketd.pool.settings import PoolSettings, Strategy
from socketd.pool.states import WorkerState
from socketd.pool.timelimit import Deadline, TimeLimit

__all__ = ["Deadline", "Pool", "PoolSettings", "Strategy", "TimeLimit", "WorkerState"]
