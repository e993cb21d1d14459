"""The privileges of a worker's process, applied irrevocably.

Owns the way from settings to system calls, and their order. Must not know workers. The native
template does the same in the same order (native/zygote/privileges.c).

Limits and niceness come first, since root may raise them; then groups, which the user could not
change any more; then the user; then the capabilities that the change of user may have left; then
umask and directory, so that the directory is one that the user can enter; no_new_privs; and last
what the process may reach at all (reach.py). Another root directory needs root, so it comes before
the groups. After a change of user the process is made undumpable until it execs, so that a program
cannot trace idle workers of the same user and write to the board through them. This is done at
once, because a system may allow tracing after a change of user (fs.suid_dumpable), and entering a
directory may take long. A change of user also clears PR_SET_PDEATHSIG, so that is requested
afterwards.

The bounding set is kept: a set-uid program works as in a shell, unless no_new_privs is set.
"""

import ctypes
import errno
import functools
import os
import resource
import signal
from collections.abc import Callable, Iterator

from socketd.dataclass import dataclass, replace
from socketd.errors import SystemFailureError, describe_errno
from socketd.programs import reach
from socketd.programs.needs import needed_files
from socketd.settings.confinement import RESOURCES, Boundary, Confinement, ResourceLimit
from socketd.system import landlock
from socketd.system.accounts import find_group, find_user, groups_of
from socketd.system.products import PACKAGE

_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION_3 = 0x20080522
_LIBC = ctypes.CDLL(None, use_errno=True)

# These would affect the Python worker itself, which needs far more memory than most programs. So
# only their hard limits are raised early; the rest is done right before exec.
_LATE = frozenset({"as", "data"})
# A template lives long, so each of its copies sets the limit on processor time.
_OF_COPIES = frozenset({"cpu"})


# So many descriptors a worker may need before its program runs: its own, the connection, and the
# pipes of a request. With fewer a service would come up, and each of its connections would fail.
LEAST_DESCRIPTORS = 20


@dataclass(frozen=True, slots=True)
class Identity:
    """A user as the kernel sees one; `name` is for error lines."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Privileges:
    """What to apply to a process; None means unchanged."""

    identity: Identity | None = None
    directory: str | None = None
    umask: int | None = None
    limits: tuple[ResourceLimit, ...] = ()
    nice: int | None = None
    no_new_privs: bool = False
    chroot: str | None = None
    boundary: Boundary | None = None


class CannotApplyError(OSError):
    """The system refused an `attempt`, as in "cannot {attempt}"."""

    def __init__(self, attempt: str, number: int) -> None:
        super().__init__(number, describe_errno(number))
        self.attempt = attempt


def grant(confinement: Confinement, program: str, *read: str) -> Privileges:
    """Look up the settings, and test in a child that they can be applied and the program be run.

    `read` are files that the program has to be able to read.

    Raises SystemFailureError if a user or group does not exist, or the system refuses.
    """
    privileges = look_up(confinement)
    if _may_be_refused(privileges):
        prove(privileges, program, *read)
    return privileges


def look_up(confinement: Confinement) -> Privileges:
    """Find users and groups, and what the kernel can do.

    Raises SystemFailureError for what there is not.
    """
    for limit in confinement.limits:
        _check_limit(limit)
    boundary = confinement.boundary
    if boundary is not None:
        reach.check_kernel(boundary, landlock.version())
    return Privileges(
        _identity(confinement.user, confinement.groups),
        confinement.directory,
        confinement.umask,
        confinement.limits,
        confinement.nice,
        # What may be set-user-id could leave a boundary, so the kernel asks for it.
        confinement.no_new_privs or boundary is not None,
        confinement.chroot,
        boundary,
    )


def _may_be_refused(privileges: Privileges) -> bool:
    """Tell whether there is anything that the system does not grant every process."""
    return (
        privileges.identity is not None
        or privileges.directory is not None
        or privileges.nice is not None
        or privileges.chroot is not None
        or privileges.boundary is not None
        or any(_is_raised(limit) for limit in privileges.limits)
    )


def prove(privileges: Privileges, program: str, *read: str) -> None:
    """Try all steps in a child process. Raises SystemFailureError if one fails."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            _try_out(privileges, (program, *read), writing)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(writing)
    with open(reading, "rb") as answer:
        number, _, attempt = answer.read().decode(errors="replace").partition(" ")
    os.waitpid(pid, 0)
    if not number:
        raise SystemFailureError("cannot try out the privileges of workers: the attempt died")
    if attempt:
        raise SystemFailureError(
            f"cannot {attempt}: {describe_errno(int(number))}{_advice(int(number), attempt)}"
        )


def _advice(number: int, attempt: str) -> str:
    if PACKAGE in attempt:
        return "; install socketd where that user can read it, or start the script without it"
    if number != errno.EPERM:
        return ""
    if os.geteuid() != 0:
        return "; this needs root"
    return "; root lacks that capability here"


def _try_out(privileges: Privileges, files: tuple[str, ...], writing: int) -> None:
    """Apply, report the result, and always end the process; the first of the files is run."""
    try:
        answer = "0 "
        program, *read = files
        try:
            apply(replace(privileges, boundary=None))
            apply_late(privileges)
            who = privileges.identity
            by = f" as user {who.name!r}" if who else ""
            if not os.access(program, os.X_OK):
                raise CannotApplyError(f"run {program!r}{by}", errno.EACCES)
            for path in read:
                if not os.access(path, os.R_OK):
                    raise CannotApplyError(f"read {path!r}{by}", errno.EACCES)
            if privileges.boundary is not None:
                _try_out_boundary(privileges.boundary, program, is_listing=not privileges.chroot)
        except CannotApplyError as error:
            answer = f"{error.errno} {error.attempt}"
        os.write(writing, answer.encode(errors="replace"))
    finally:
        os._exit(0)


def _try_out_boundary(boundary: Boundary, program: str, *, is_listing: bool) -> None:
    """Look whether the files that a program needs for its start are in reach.

    Raises CannotApplyError.
    """
    names = dict.fromkeys((program, *boundary.programs)) if boundary.has_paths else ()
    needs = [
        (name, path)
        for name in names
        for path in needed_files(name, is_listing=is_listing)
        if not reach.is_refused(path)
    ]
    _confine(boundary, is_template=False)
    for name, path in needs:
        if reach.is_refused(path):
            raise CannotApplyError(
                f"run {name!r}, which needs {path!r}, outside of read_paths", errno.EACCES
            )


def apply(
    privileges: Privileges, later: frozenset[str] = _LATE, *, is_template: bool = False
) -> None:
    """Apply the privileges to this process, except the limits that are set later.

    A process that is to be held as a template keeps a look at itself. Raises CannotApplyError where
    something is refused.
    """
    for attempt, step in _steps(privileges, later, is_template=is_template):
        try:
            step()
        except CannotApplyError:
            raise
        except OSError as error:
            raise CannotApplyError(attempt, error.errno or 0) from error


def apply_late(privileges: Privileges) -> None:
    """Set the limits that must not affect this process before exec; raises like `apply`."""
    for limit in privileges.limits:
        if limit.name in _LATE:
            try:
                _set_limit(limit)
            except OSError as error:
                raise CannotApplyError(_attempt_of(limit), error.errno or 0) from error


def apply_to_template(privileges: Privileges, check: Callable[[], None]) -> None:
    """Apply the privileges to a process that will exec a program to be held.

    `check` is called when only limits are left. Raises like `apply`.
    """
    apply(privileges, _LATE | _OF_COPIES, is_template=True)
    check()
    apply_late(privileges)


def _steps(
    privileges: Privileges, later: frozenset[str], *, is_template: bool
) -> Iterator[tuple[str, Callable[[], object]]]:
    for limit in privileges.limits:
        set_one = _raise_hard_limit if limit.name in later else _set_limit
        yield _attempt_of(limit), functools.partial(set_one, limit)
    nice = privileges.nice
    if nice is not None:
        yield f"set the niceness to {nice}", lambda: _set_nice(nice)
    chroot = privileges.chroot
    if chroot is not None:
        yield f"change the root directory to {chroot!r}", lambda: _change_root(chroot)
    who = privileges.identity
    if who is not None:
        yield f"set the groups of user {who.name!r}", lambda: os.setgroups(who.groups)
        yield f"set group {who.gid}", lambda: os.setresgid(who.gid, who.gid, who.gid)
        yield f"become user {who.name!r}", lambda: os.setresuid(who.uid, who.uid, who.uid)
        yield "forbid tracing", lambda: _prctl(_PR_SET_DUMPABLE, 0)
        if who.uid != 0:
            yield "drop all capabilities", _drop_capabilities
    umask, directory = privileges.umask, privileges.directory
    if umask is not None:
        yield "set the umask", lambda: os.umask(umask)
    if directory is not None:
        yield f"enter the directory {directory!r}", lambda: os.chdir(directory)
    if privileges.no_new_privs:
        yield "set no_new_privs", lambda: _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    boundary = privileges.boundary
    if boundary is not None:
        yield "confine the program", lambda: _confine(boundary, is_template=is_template)


def _change_root(path: str) -> None:
    os.chroot(path)
    os.chdir("/")


def _confine(boundary: Boundary, *, is_template: bool) -> None:
    """Have this process obey its boundary for ever. Raises OSError, as CannotApplyError."""
    try:
        ruleset = reach.make_ruleset(boundary, is_template=is_template)
    except reach.OutOfReachError as error:
        raise CannotApplyError(
            f"have {error.filename!r} in the reach of the program", error.errno or 0
        ) from error
    try:
        landlock.obey(ruleset)
    finally:
        os.close(ruleset)


def user_of(privileges: Privileges) -> int:
    """Return the user that a process is with these: the real one."""
    return os.getuid() if privileges.identity is None else privileges.identity.uid


def _identity(user: str | None, groups: tuple[str, ...] | None) -> Identity | None:
    """Return whom to become, None for whom we are already."""
    if user is None and groups is None:
        return None
    uid, own_gid = (os.geteuid(), os.getegid()) if user is None else find_user(user)
    if groups:
        gids = tuple(find_group(group) for group in groups)
    elif own_gid is None:
        raise SystemFailureError(
            f"user {user!r} is not in the user database and so has no group: name one"
        )
    elif groups is None and user is not None:
        gids = (own_gid, *groups_of(uid, own_gid))
    else:
        gids = (own_gid,)
    wanted = Identity(user or str(uid), uid, gids[0], tuple(dict.fromkeys(gids)))
    return None if uid != 0 and _is_ours(wanted) else wanted


def _is_ours(wanted: Identity) -> bool:
    """Tell whether an ordinary user asks for nothing new."""
    return (
        os.getresuid() == (wanted.uid,) * 3
        and os.getresgid() == (wanted.gid,) * 3
        and {*os.getgroups(), wanted.gid} == set(wanted.groups)
    )


def _check_limit(limit: ResourceLimit) -> None:
    if limit.name not in RESOURCES:
        raise SystemFailureError(
            f"unknown limit {limit.name!r}: this system has {', '.join(sorted(RESOURCES))}"
        )
    if limit.hard is not None and (limit.soft is None or limit.soft > limit.hard):
        raise SystemFailureError(f"limit {limit.name!r}: the soft limit is above the hard one")
    if limit.name == "nofile" and limit.soft is not None and limit.soft < LEAST_DESCRIPTORS:
        raise SystemFailureError(
            f"limit 'nofile': {limit.soft} is too low, a worker itself needs {LEAST_DESCRIPTORS}"
        )


def _attempt_of(limit: ResourceLimit) -> str:
    soft, hard = ("unlimited" if one is None else one for one in (limit.soft, limit.hard))
    return f"set the limit {limit.name} to {soft}:{hard}"


def _values_of(limit: ResourceLimit) -> tuple[int, int]:
    unlimited = resource.RLIM_INFINITY
    return (
        unlimited if limit.soft is None else limit.soft,
        unlimited if limit.hard is None else limit.hard,
    )


def _set_limit(limit: ResourceLimit) -> None:
    # Not setrlimit(), which raises a ValueError when the system refuses.
    resource.prlimit(0, RESOURCES[limit.name], _values_of(limit))


def _raise_hard_limit(limit: ResourceLimit) -> None:
    if _is_raised(limit):
        soft, _ = resource.getrlimit(RESOURCES[limit.name])
        hard = resource.RLIM_INFINITY if limit.hard is None else limit.hard
        resource.prlimit(0, RESOURCES[limit.name], (soft, hard))


def _is_raised(limit: ResourceLimit) -> bool:
    """Tell whether a hard limit is to be higher than it is."""
    _, hard = resource.getrlimit(RESOURCES[limit.name])
    return hard != resource.RLIM_INFINITY and (limit.hard is None or limit.hard > hard)


def _set_nice(nice: int) -> None:
    try:
        os.setpriority(os.PRIO_PROCESS, 0, nice)
    except PermissionError as error:
        raise PermissionError(errno.EPERM, error.strerror) from error  # setpriority(2): EACCES


def _drop_capabilities() -> None:
    """Clear the permitted, effective and inheritable sets, and thereby the ambient one."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    _check(_LIBC.capset(header, (ctypes.c_uint32 * 6)()))


def _prctl(option: int, value: int) -> None:
    _check(_LIBC.prctl(option, ctypes.c_ulong(value), 0, 0, 0))


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
