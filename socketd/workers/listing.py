"""What the loader would load, asked before a program is loaded that must not run.

Owns the question and its answer. Must not know what is loaded for, nor any timer.

With LD_TRACE_LOADED_OBJECTS the loader prints what it loads and exits, before any instruction of
the program or of its libraries: that is how ldd(1) works. In secure-execution mode it fails
instead, and would ignore what is to be preloaded: so it is for a program that gains privileges by
its exec, and where a security module says so, which cannot be seen from outside. The very program
is asked about, as its user, in its surroundings, so the answer holds for it. A program with
another loader would run; `refusing` and `loader_lists` have looked at the files before.

Source: ld.so(8), "Secure-execution mode" and LD_TRACE_LOADED_OBJECTS; AT_SECURE in getauxval(3).
"""

import contextlib
import os

from socketd.programs.loadable import loader_lists
from socketd.programs.privileges import Privileges
from socketd.settings.readiness import ReadyLevel
from socketd.system.descriptors import copy_above
from socketd.workers.launch import (
    ABOVE_STANDARD_FDS,
    NotHeldError,
    Template,
    is_preloaded,
    refusing,
    start_preloaded,
)
from socketd.workers.spawner import WorkerPlan

_SECURE_STATUS = 5  # glibc: what it exits with if it may not list what it would load
_MOST_BYTES = 1 << 20


class Listing:
    """A loader on its way to its answer, which is its end; see Hold for the names."""

    overdue = "has not been listed by its loader"

    def __init__(self, template: Template) -> None:
        self.template = template

    def look(self) -> bool:
        """Tell that this is not held, and never will be."""
        return False

    def take_stop(self) -> None:
        """Take note that the loader was stopped. Raises NotHeldError."""
        raise NotHeldError("its loader was stopped")

    def last_words(self, status: int) -> str:
        """Return why the program cannot be held before it runs, nothing if it can."""
        if status == _SECURE_STATUS:
            return "its loader ignores what is preloaded (secure-execution mode)"
        if status:
            return f"its loader has ended with status {status}"
        answer = os.pread(self.template.answer_fd, _MOST_BYTES, 0)
        if not is_preloaded(answer):
            return "its loader does not load the object that holds it"
        return ""

    def end(self) -> Template:
        """Look no further; return the process, whatever has become of it."""
        return self.template


def launch_listing(plan: WorkerPlan, privileges: Privileges) -> Template:
    """Have the loader of the user's program list what it would load. Raises NotHeldError."""
    if not loader_lists():
        raise NotHeldError("its loader cannot be asked whether it would be held before it runs")
    with refusing(plan), contextlib.ExitStack() as undo:
        # A file, not a pipe: who reads comes when it has ended.
        answer_fd = os.memfd_create("listing", os.MFD_CLOEXEC)
        undo.callback(os.close, answer_fd)
        with contextlib.ExitStack() as copies:
            nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            copies.callback(os.close, nothing)
            sources = []
            for fd in (nothing, answer_fd, nothing):
                sources.append(copy_above(fd, ABOVE_STANDARD_FDS))
                copies.callback(os.close, sources[-1])
            question = {"LD_TRACE_LOADED_OBJECTS": "1"}
            pid = start_preloaded(plan, privileges, question, dict(enumerate(sources)))
        undo.pop_all()
    return Template(pid, -1, ReadyLevel.LOAD, answer_fd)
