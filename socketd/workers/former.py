"""The template that another version of this program has left, as long as ours cannot make workers.

Owns its process id and its pipe. Must not know what has become of the other version, nor what comes
after.

All that is said to a template are numbers in its pipe, and all that it says is on the board, so the
version that reads one can write to the other. What else a template is asked for (a renewal, another
level) this one is not: the spawner that takes its place begins with a template of its own.
"""

import contextlib
import os
from collections.abc import Sequence

from socketd.loop.reaper import DeadChild
from socketd.settings.readiness import ReadyLevel
from socketd.workers import kin
from socketd.workers.groups import SlotGroups
from socketd.workers.launch import Template
from socketd.workers.spawner import ServingTemplate


class FormerSpawner:
    """Has workers forked by the template of another version; see Spawner for the promises.

    Its process counts among those that another version has left, so it is none of its own.
    """

    def __init__(self, passed: ServingTemplate, groups: SlotGroups | None = None) -> None:
        os.set_inheritable(passed.pipe_fd, False)
        self._template = Template(
            passed.pid,
            passed.pipe_fd,
            passed.level,
            groups=groups if passed.has_groups else None,
        )
        self._is_alive = True

    @property
    def pids(self) -> tuple[int, ...]:
        """Return none."""
        return ()

    @property
    def passed_on(self) -> ServingTemplate | None:
        """Return the template for one more version, None if it makes no more workers."""
        template = self._template
        if not self.is_serving:
            return None
        has_groups = template.groups is not None
        return ServingTemplate(template.pid, template.pipe_fd, template.level, has_groups)

    @property
    def is_caught_up(self) -> bool:
        """Tell whether it has read what it was given."""
        return not self.is_serving or self._template.has_read_all

    @property
    def is_serving(self) -> bool:
        """Tell whether it is there, and is to make workers."""
        return self._is_alive and self._template.pipe_fd >= 0

    @property
    def is_gone(self) -> bool:
        """Tell the truth: there is no process of its own."""
        return True

    @property
    def level(self) -> ReadyLevel:
        """Return how far its process has got."""
        return self._template.level

    @property
    def trouble(self) -> str | None:
        """Name none: its end is no reason why no worker may come."""
        return None

    def spawn(self, workers: Sequence[int]) -> None:
        """Hand the numbers to the template."""
        if not workers or not self.is_serving:
            return
        with contextlib.suppress(BrokenPipeError):  # it has died; its end is being reported
            if not self._template.ask_for(workers):
                kin.end(self._template.pid)  # it does not read

    def close(self) -> None:
        """Let it end when it has made the workers that it was asked for."""
        self._template.close()

    def renew(self) -> bool:
        """Refuse: another one is on its way anyway."""
        return False

    def drop_coming(self) -> None:
        """Do nothing: nothing is on its way."""

    def on_exit(self, child: DeadChild) -> bool:
        """Take note of its end, and disown it: others count it."""
        if child.pid == self._template.pid:
            self._is_alive = False
            self._template.close()
        return False

    def on_crash(self) -> None:
        """Do nothing: another template is on its way."""

    def retry_after_shortage(self) -> None:
        """Do nothing: the board tells whom there was no room for."""

    def on_stopped(self, pid: int) -> None:
        """End the template that somebody has stopped."""
        if pid == self._template.pid:
            kin.end(pid)
