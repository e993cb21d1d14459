"""What forbids to hold a program: the rules, each with its reason.

Owns what is asked of a program that has come to the place where it would be held. Must not know how
it has come there, nor what happens if it is not held.

Each rule is about something that copies would lack, or would share although each thinks it has it
alone. Where it is not known, the program is not held.
"""

import contextlib
import os
import re
import socket

from socketd.config.services import ServiceSettings
from socketd.programs.fingerprint import texts
from socketd.programs.script_words import find_fault, is_known
from socketd.system import procfs
from socketd.workers.launch import HOLD_SIGNAL, NotHeldError, Template

_TIME = 16  # struct timeval
# Devices that keep nothing of what is written for who reads next.
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty")
_KERNEL_OBJECT = ("anon_inode:", "pidfd:")
_KERNEL_OBJECTS = {
    "eventpoll": "an epoll descriptor",
    "fanotify": "a fanotify descriptor",
    "inotify": "an inotify descriptor",
    "io_uring": "an io_uring",
    "pidfd": "a pidfd",
    "signalfd": "a signalfd",
    "timerfd": "a timer (timerfd)",
    "userfaultfd": "a userfaultfd",
}
_HIGHEST = 1023  # of the descriptors of which each copy gets its own (native/hold)
_FILTERED = "it has a filter of system calls (seccomp)"
# The name of a process whose program has asked for what is not there yet; see
# native/hold/questions.c.
_QUESTION = "socketd?"
_SETS = "set"
_ASKED = {"peer": "getpeername", "own": "getsockname", "option": "getsockopt", "env": "getenv"}


def check(template: Template, settings: ServiceSettings) -> list[procfs.OpenFile]:
    """Look for what copies would lack or share; return the open files. Raises NotHeldError."""
    pid = template.pid
    status = procfs.status(pid)
    bit = 1 << (HOLD_SIGNAL - 1)
    if status.threads is None or status.caught is None or status.blocked is None:
        raise NotHeldError("cannot read its state (/proc/PID/status)")
    _check_company(pid, status)
    if not status.caught & bit:
        raise NotHeldError("our object is not in it: it has become a program that loads none")
    if status.blocked & bit:
        raise NotHeldError(f"it blocks the signal {HOLD_SIGNAL}")
    check_tracer(status)
    _check_filter(status)
    check_input(template.stand_in)
    files = procfs.open_files(pid)
    if files is None:
        raise NotHeldError("its open files cannot be read (/proc/PID/fd), or are too many")
    _check_files(pid, files, may_share=settings.readiness.may_share_files)
    _check_memory(pid, may_share=settings.readiness.may_share_files)
    _check_script(template, settings)
    return files


def _check_script(template: Template, settings: ServiceSettings) -> None:
    """Look for words of a script that would not mean in copies what they say.

    Raises NotHeldError. The interpreter is what runs by now, whatever was started.
    """
    executable = procfs.executable(template.pid)
    if executable is None:
        raise NotHeldError("it cannot be seen what it runs (/proc/PID/exe)")
    name = os.path.basename(executable.removesuffix(" (deleted)"))
    if not is_known(name):
        return
    directory = settings.confinement.directory or os.curdir
    found = texts(settings.program, directory, settings.environment)
    has_front = settings.front is not None
    if fault := find_fault(name, found, template.level, has_front=has_front):
        raise NotHeldError(procfs.legible(fault))


def check_loaded(template: Template, settings: ServiceSettings) -> None:
    """Look for the same before a program runs: its libraries may have done it.

    Raises NotHeldError.
    """
    pid = template.pid
    status = procfs.status(pid)
    check_tracer(status)
    _check_company(pid, status)
    files = procfs.open_files(pid)
    if files is not None:  # it may not be looked into any more
        _check_files(pid, files, may_share=settings.readiness.may_share_files)
        _check_memory(pid, may_share=settings.readiness.may_share_files)


def check_question(name: str) -> None:
    """Look at the name of a process for what its program has asked. Raises NotHeldError."""
    if name == _QUESTION + _SETS:
        raise NotHeldError("it sets an option that only a real connection has (setsockopt)")
    if name.startswith(_QUESTION):
        call = _ASKED.get(name.removeprefix(_QUESTION), "?")
        raise NotHeldError(f"it asks about its connection before there is one ({call})")


def _check_company(pid: int, status: procfs.Status) -> None:
    """Look for what a copy would lack. Raises NotHeldError."""
    if status.threads is not None and status.threads > 1:
        raise NotHeldError(f"it has {status.threads} threads")
    if procfs.children(pid):
        raise NotHeldError("it has started other programs, which still run")


def check_tracer(status: procfs.Status) -> None:
    """Look whether a tracer is attached, which would stay attached. Raises NotHeldError.

    Who traces us as well has all that there is already.
    """
    if status.tracer is None:
        raise NotHeldError("the system does not say whether it is traced (/proc/PID/status)")
    if status.tracer not in (0, procfs.status(os.getpid()).tracer):
        raise NotHeldError(f"it is traced by process {status.tracer}")


def _check_filter(status: procfs.Status) -> None:
    """Look for a filter of system calls that we do not have too. Raises NotHeldError.

    It need not allow what a template and a copy do before the program goes on. Those that we have
    too, as in a container, allow it.
    """
    own = procfs.status(os.getpid())
    if not status.is_filtered:
        return
    # Filters are inherited and never go away, so who has as many as we has the same.
    if not own.is_filtered or status.call_filters is None or own.call_filters is None:
        raise NotHeldError(_FILTERED)
    if status.call_filters != own.call_filters:
        raise NotHeldError(_FILTERED)


def check_input(stand_in: socket.socket | None) -> None:
    """Look at what the program has set on its input. Raises NotHeldError."""
    if stand_in is None:
        return
    limit = stand_in.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIME)
    if any(limit):
        raise NotHeldError("its input has a time limit (SO_RCVTIMEO)")


def _check_descriptor(pid: int, file: procfs.OpenFile) -> None:
    """Look at what copies would share whatever the operator says. Raises NotHeldError.

    Of what is not a file the object in the program looks at the rest (native/hold/wakeups.c).
    """
    name = procfs.legible(file.target)
    if file.target.startswith(_KERNEL_OBJECT) and file.target != "anon_inode:[eventfd]":
        kind = re.sub(r"^anon_inode:|:.*|[\[\]]", "", file.target)
        what = _KERNEL_OBJECTS.get(kind, name)
        raise NotHeldError(f"it has {what} open, which copies would share")
    if f"{file.target}/".startswith(f"/proc/{pid}/"):
        raise NotHeldError(f"it has {name} open, which tells of the template alone")
    if file.fd > _HIGHEST:
        raise NotHeldError(f"its descriptors go up to {file.fd}; copies have their own up to 1023")


def _check_memory(pid: int, *, may_share: bool) -> None:
    """Look for memory that copies would share. Raises NotHeldError.

    A file that is mapped for reading only is what it is at any level.
    """
    names = procfs.shared_memory(pid)
    if names is None:
        raise NotHeldError("its memory cannot be looked at (/proc/PID/maps), or has too many parts")
    if names and not may_share:
        name = procfs.legible(names[0])
        raise NotHeldError(f"it shares memory with others ({name}; see --shared-files)")


def _check_files(pid: int, files: list[procfs.OpenFile], *, may_share: bool) -> None:
    """Look for open files that copies would share although each takes them for its own.

    Raises NotHeldError. Standard error may be a file of the server's, which all programs share.
    """
    for file in files:
        _check_descriptor(pid, file)
    if may_share:
        return
    own = ""
    with contextlib.suppress(OSError):  # it may be closed
        own = os.readlink("/proc/self/fd/2")
    for file in files:
        if not file.is_named or file.target in (own, *_DEVICES):
            continue
        name = procfs.legible(file.target)
        if file.is_locked:
            raise NotHeldError(f"it holds a lock on {name} (see --shared-files)")
        if file.flags is None or (file.flags & os.O_ACCMODE and not file.flags & os.O_APPEND):
            raise NotHeldError(f"it has {name} open for writing (see --shared-files)")
