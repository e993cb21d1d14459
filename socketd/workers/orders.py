"""What a pool orders its workers to do.

Owns which signal an order is. Must not know why it is given.
"""

from typing import assert_never

from socketd.pool.messages import AskToFinish, KillWorkers, RetireWorkers, TerminateWorkers
from socketd.workers.processes import Processes

Order = RetireWorkers | AskToFinish | TerminateWorkers | KillWorkers


def carry_out(processes: Processes, order: Order) -> None:
    """Send workers what the order stands for."""
    match order:
        case RetireWorkers(workers):
            processes.retire(workers)
        case AskToFinish(workers):
            processes.ask_to_finish(workers)
        case TerminateWorkers(workers):
            processes.terminate(workers)
        case KillWorkers(workers):
            processes.kill(workers)
        case _:
            assert_never(order)
