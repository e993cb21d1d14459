"""What a front makes of a service, and where there can be none.

Owns the rules for services of CGI programs, as pure functions. Must not know how settings are
written, nor what is said of a mistake.
"""

from socketd.config.services import ServiceSettings, WorkerKind
from socketd.dataclass import replace
from socketd.programs.cgi import CgiProgram, FrontKind
from socketd.settings.readiness import AUTO_LEVEL, ReadyLevel
from socketd.settings.stderr import StderrTarget
from socketd.system.products import is_built


def behind(settings: ServiceSettings, cgi: CgiProgram) -> ServiceSettings:
    """Return the settings of a service whose program is a CGI program."""
    confinement = settings.confinement
    directory = confinement.directory or cgi.directory
    front, pool = cgi.front, settings.pool
    if front is not None:
        front = replace(front, kill_seconds=pool.kill_seconds)
    if front is not None and front.keep_seconds is not None:
        # The limit is one for a request, not for a connection that the web server keeps.
        front = replace(front, limit_seconds=pool.limit_seconds)
        pool = replace(pool, limit_seconds=None)
    return replace(
        settings,
        program=cgi.program,
        front=front,
        pool=pool,
        environment=cgi.environment,
        confinement=replace(confinement, directory=directory),
    )


def has_favourites(settings: ServiceSettings) -> bool:
    """Tell whether programs that requests name may get templates of their own.

    Their workers are among the service's at most, so there has to be room for more than the least.
    """
    folders = None if settings.front is None else settings.front.folders
    if folders is None or not folders.templates or settings.confinement.chroot is not None:
        return False
    if settings.admission.is_counted:
        return False  # a copy that takes over would know of none of it
    pool = settings.pool
    return pool.maximum > pool.minimum and pool.connection_limit is None


def usual_stderr(front: FrontKind) -> StderrTarget:
    """Return the default of stderr: not into the answer of a CGI program."""
    return StderrTarget.SOCKET if front is FrontKind.NONE else StderrTarget.INHERIT


def can_be_held(
    front: FrontKind, worker: WorkerKind, relay: object | None, *, has_root: bool
) -> bool:
    """Tell whether a level is possible at all at which the program is held before main()."""
    if relay is not None or worker is WorkerKind.PYTHON or not is_built():
        return False
    no_front = why_no_front(front, AUTO_LEVEL, worker, has_root=has_root)
    return front is FrontKind.NONE or no_front is None


def why_no_front(
    front: FrontKind, level: ReadyLevel, worker: WorkerKind, *, has_root: bool
) -> str | None:
    """Return why a front is not possible with these settings, None if it is."""
    if worker is WorkerKind.PYTHON and front is FrontKind.SCGI:
        return "only native workers read requests"
    if level is ReadyLevel.FORK:
        return None
    if has_root:
        return "a request names the program, so only fork is possible"
    if level not in (ReadyLevel.LOAD, ReadyLevel.STOP):
        return (
            f"at the level {level.value} the program reads its variables before there is a request;"
            " use load or stop"
        )
    return None
