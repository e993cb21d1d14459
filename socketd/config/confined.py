"""From the values that an operator set to what the process of a program may and may not do.

Owns the rules between those settings, and where a program is looked for that has another root
directory. Must not know how a value was read, nor how a problem is worded.
"""

import os

from socketd.config.services import WorkerKind
from socketd.programs.cgi import Folders, FrontKind
from socketd.programs.command import Program
from socketd.settings.confinement import Boundary, Confinement, GroupLimits, ResourceLimit
from socketd.settings.stderr import StderrTarget
from socketd.settings.values import Problem, Values
from socketd.system.accounts import parse_user

NOT_HELD = "a program with another root directory cannot be held: what holds it is not below that"
_NO_WRAPPER = "with {worker} python a wrapper reads requests, which is not below that"


def user_in(values: Values) -> tuple[str | None, str | None]:
    """Return the user, and the group that was named with it."""
    text = values.text("user")
    return (None, None) if text is None else parse_user(text, "user")


def confinement_in(values: Values, problems: list[Problem]) -> Confinement:
    """Return the confinement, and record what is wrong with it."""
    user, group = user_in(values)
    groups = values.names("groups")
    if groups is not None and user is None:
        problems.append(Problem("groups", "needs {user}"))
    if group is not None:
        if groups is not None:
            problems.append(
                Problem("groups", "replaces the group in {user}: give only one of the two")
            )
        groups = (group,)
    limits = []
    for name, both in values.mapping("limits").items():
        assert isinstance(both, tuple)
        limits.append(ResourceLimit(name, *both))
    return Confinement(
        user,
        groups,
        values.text("directory"),
        values.number("umask"),
        tuple(limits),
        values.number("nice"),
        values.is_on("no_new_privs"),
        values.text("chroot"),
        _boundary(values),
        _group(values),
    )


def _boundary(values: Values) -> Boundary | None:
    ports = values.get("tcp_connect")
    assert ports is None or isinstance(ports, tuple)
    boundary = Boundary(values.names("read_paths"), values.names("write_paths"), ports)
    return None if boundary == Boundary() else boundary


def _group(values: Values) -> GroupLimits | None:
    path = values.text("cgroup")
    limits = GroupLimits(
        None if path == "auto" else path,
        values.number("memory_max"),
        values.number("cpu_max"),
        values.number("pids_max"),
    )
    return None if path is None and limits == GroupLimits() else limits


def programs_of(chosen: Program | Folders) -> tuple[str, ...]:
    """Return the paths of what a service runs: they are in its programs' reach."""
    if isinstance(chosen, Program):
        return (chosen.path,)
    return chosen.scripts if chosen.root is None else (chosen.root,)


def why_no_chroot(
    chroot: str, front: FrontKind, worker: WorkerKind, stderr: StderrTarget
) -> str | None:
    """Return why there can be no such root directory with these settings, None if there can."""
    from socketd.system.rooted import is_null_below

    if front is FrontKind.FCGI and worker is WorkerKind.PYTHON:
        return _NO_WRAPPER
    is_null_needed = front is not FrontKind.NONE or stderr is StderrTarget.NULL
    if is_null_needed and not is_null_below(chroot):
        return f"{chroot!r} has no dev/null (try: mknod -m 666 {chroot}/dev/null c 1 3)"
    return None


def is_folder(path: str, chroot: str | None) -> bool:
    """Tell whether the program sees a directory there."""
    if chroot is None:
        return os.path.isdir(path)
    from socketd.system.rooted import is_folder_below  # nobody else needs ctypes so early

    return is_folder_below(chroot, path)


def is_file(path: str, chroot: str | None) -> bool:
    """Tell whether the program sees an ordinary file there."""
    if chroot is None:
        return os.path.isfile(path)
    from socketd.system.rooted import is_file_below

    return is_file_below(chroot, path)
