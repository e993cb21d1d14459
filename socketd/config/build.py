"""From the values that an operator set to the settings of a service, for every front end.

Owns the rules between settings. Must not know how a value was read, nor how a problem is worded:
problems are recorded, and the caller checks whether there are any.
"""

import math
from collections.abc import Callable, Mapping

from socketd.config.confined import (
    NOT_HELD,
    confinement_in,
    is_file,
    is_folder,
    programs_of,
    user_in,
    why_no_chroot,
)
from socketd.config.fronts import behind, can_be_held, usual_stderr, why_no_front
from socketd.config.services import ServiceSettings, WorkerKind
from socketd.dataclass import dataclass, field, replace
from socketd.errors import ExitCode, ProgramError
from socketd.pool.settings import PoolSettings, Strategy
from socketd.programs.cgi import (
    DEFAULT_KEEP_SECONDS,
    LARGEST_HEAD,
    ClientGone,
    Folders,
    FrontKind,
    Waits,
    put_behind,
)
from socketd.programs.command import Program, ShellUse, locate, resolve
from socketd.programs.environment import base_environment
from socketd.programs.hold_script import with_own_hold
from socketd.programs.trial_request import UnusableRequestError, check_request
from socketd.relay.relay import RelaySettings
from socketd.settings.address import InheritedAddress
from socketd.settings.admission_table import ADMISSION_SETTINGS
from socketd.settings.confinement import Confinement
from socketd.settings.readiness import AUTO, AUTO_LEVEL, Readiness, ReadyLevel
from socketd.settings.stderr import StderrTarget
from socketd.settings.table import MOST_WORKERS
from socketd.settings.values import Problem, Values
from socketd.system.accounts import login_variables
from socketd.system.products import NOT_BUILT, is_built

DEFAULT_MAXIMUM = 256
_NOWHERE = Program("/", ())
_FOR_CGI = (
    "root",
    "scripts",
    "request_variables",
    "client_gone",
    "body_limit",
    "head_limit",
    "answer_timeout",
)
_ABOUT_CLIENTS = [setting.key for setting in ADMISSION_SETTINGS]


def _nowhere() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What settings depend on besides their values: the server's environment and sockets.

    `passed` has the number of passed sockets for each name; None means unknown, as in a check.
    `soft_nofile` is the limit of open files that workers get back, if the server has raised its
    own. With `relay` the workers relay. `usual_control` returns where the control socket is if the
    file does not say; few files need it.
    """

    environment: dict[str, str]
    passed: Mapping[str, int] | None = None
    soft_nofile: int | None = None
    relay: RelaySettings | None = None
    usual_control: Callable[[], str | None] = _nowhere


@dataclass(slots=True)
class Builder:
    """Builds the settings of one service; `problems` holds what is wrong with them.

    `found` is a program that is already resolved; it replaces the one in the values.
    """

    values: Values
    around: Surroundings
    found: Program | None = None
    problems: list[Problem] = field(default_factory=list)

    def service(self, name: str) -> ServiceSettings:
        """Return the settings, with an address that stands for none."""
        values = self.values
        kind = values.member("front", FrontKind, FrontKind.NONE)
        worker = self.worker()
        readiness = self.readiness(worker, kind)
        inherited = base_environment(self.around.environment) | self.own_variables()
        chosen = self.program(inherited)
        confinement = self.confinement(chosen)
        settings = ServiceSettings(
            name=name,
            address=InheritedAddress(""),
            program=_NOWHERE if isinstance(chosen, Folders) else chosen,
            environment=inherited,
            pool=self.pool(),
            backlog=values.number("backlog") or 0,
            stderr=values.member("stderr", StderrTarget, usual_stderr(kind)),
            worker=worker,
            relay=self.around.relay,
            confinement=confinement,
            soft_nofile=None if "nofile" in values.mapping("limits") else self.around.soft_nofile,
            readiness=readiness,
            linger_seconds=values.limit_seconds("linger") or 0.0,
            ends_children=not values.get("keep_children"),
        )
        if confinement.chroot is not None and not self.problems:
            no_chroot = why_no_chroot(confinement.chroot, kind, worker, settings.stderr)
            if no_chroot is not None:
                self._break_rule("chroot", no_chroot)
        if self.may_have_front(kind, worker, readiness.level):
            cgi = put_behind(
                kind,
                chosen,
                self.own_variables(),
                self.waits(),
                values.names("request_variables"),
                self.client_gone(),
                settings.stderr if values.has("stderr") else None,
                is_wrapped=worker is WorkerKind.PYTHON,
            )
            settings = behind(settings, cgi)
        return self.with_admission(settings)

    def with_admission(self, settings: ServiceSettings) -> ServiceSettings:
        """Return a service that is otherwise set up with who may come in to it."""
        if not any(self.values.has(key) for key in _ABOUT_CLIENTS):
            return settings
        from socketd.config.access import admission_in  # which most servers never need

        return replace(settings, admission=admission_in(self.values, settings, self.problems))

    def confinement(self, chosen: Program | Folders) -> Confinement:
        """Return what the program's process may and may not do."""
        confinement = confinement_in(self.values, self.problems)
        if confinement.boundary is None:
            return confinement
        boundary = replace(confinement.boundary, programs=programs_of(chosen))
        return replace(confinement, boundary=boundary)

    def waits(self) -> Waits:
        """Return how long a web server may take."""
        kept = self.values.limit_seconds("keep_timeout")
        head_seconds = self.values.seconds("head_timeout")
        return Waits(
            head_seconds,
            DEFAULT_KEEP_SECONDS if kept is None else kept,
            self.values.limit_seconds("answer_timeout"),
            self.values.number("body_limit"),
            self.values.number("head_limit") or LARGEST_HEAD,
        )

    def client_gone(self) -> ClientGone:
        """Return what becomes of a program whose client has gone."""
        return self.values.member("client_gone", ClientGone, ClientGone.END)

    def own_variables(self) -> dict[str, str]:
        """Return the variables of the program that are not the server's."""
        user, _ = user_in(self.values)
        own = {name: str(value) for name, value in self.values.mapping("environment").items()}
        return ({} if user is None else login_variables(user)) | own

    def folders(self) -> Folders | None:
        """Return where the programs are that requests name, None for a service of one program."""
        root, scripts = self.values.text("root"), self.values.names("scripts")
        indexes = self.values.names("index") or ()
        chroot = self.values.text("chroot")
        if root is None and scripts is None:
            if indexes:
                self._break_rule("index", "needs {root} or {scripts}")
            return None
        if root is not None and scripts is not None:
            self._break_rule("scripts", "replaces {root}: give only one of the two")
        if self.values.get("program") is not None:
            key = "scripts" if root is None else "root"
            self._break_rule(key, "replaces {program}: give only one of the two")
        elif root is not None and not is_folder(root, chroot):
            self._break_rule("root", f"{root!r} is not a directory")
        for path in scripts or ():
            if not is_folder(path, chroot) and not is_file(path, chroot):
                self._break_rule("scripts", f"{path!r} is neither a directory nor a file")
        templates = self.values.number("script_templates") or 0
        return Folders(root, scripts or (), indexes, templates)

    def program(self, environment: dict[str, str]) -> Program | Folders:
        """Return the program, or the folders of programs."""
        chroot = self.values.text("chroot")
        if chroot is not None and not is_folder(chroot, None):
            self._break_rule("chroot", f"{chroot!r} is not a directory")
            return _NOWHERE
        command, folders = self.values.get("program"), self.folders()
        shell = self.values.member("shell", ShellUse, ShellUse.AUTO)
        if folders is not None:
            return folders
        if self.found is not None:
            return self._own(self.found)
        try:
            if isinstance(command, tuple):
                if shell is ShellUse.ALWAYS:
                    self._break_rule(
                        "program", "is a list, which is never run by a shell; see {shell}"
                    )
                return self._own(locate(command, environment, chroot))
            if command is None:
                if not self.values.wrong & {"program", "root", "scripts"}:
                    self._break_rule("program", "is missing: nothing says what to run")
                return _NOWHERE
            assert isinstance(command, str)
            return self._own(resolve(command, shell, environment, chroot))
        except ProgramError as error:
            allowed = "a program that can be run"
            self.problems.append(
                Problem("program", str(error), found=command, allowed=allowed, cause=error)
            )
            return _NOWHERE

    def _own(self, program: Program) -> Program:
        """Return a program as it is run; below another root directory our files are not."""
        return program if self.values.has("chroot") else with_own_hold(program)

    def may_have_front(self, kind: FrontKind, worker: WorkerKind, level: ReadyLevel) -> bool:
        """Tell whether a front reads requests; record a problem if that is not possible."""
        values = self.values
        if kind is not FrontKind.FCGI and values.has("keep_timeout"):
            self._break_rule("keep_timeout", "needs {front} fcgi: no other connection is kept")
        if kind is FrontKind.NONE:
            for key in _FOR_CGI:
                if values.has(key):
                    self._break_rule(key, "is for CGI programs: it needs {front} scgi or fcgi")
            return False
        self._check_silence(kind)
        has_root = self._is_chosen_by_request()
        reason = why_no_front(kind, level, worker, has_root=has_root)
        if self.around.relay is not None:
            reason = "-c, -r and -w would change a request's bytes"
        if reason is None and not is_built():
            reason = NOT_BUILT
        if reason is not None:
            if level is ReadyLevel.FORK or worker is WorkerKind.PYTHON:
                self._break_rule("front", reason, kind.value, _code_of(reason))
            else:
                self._break_rule("ready", reason, values.text("ready") or "")
        is_known = not values.wrong & {"program", "root", "scripts"}
        return reason is None and is_known and not self.problems

    def _check_silence(self, kind: FrontKind) -> None:
        """Record limits that a front has under other names."""
        if self.values.has("timeouts.first_byte"):
            self._break_rule("timeouts.first_byte", "is for no {front}: see {head_timeout}")
        if kind is FrontKind.FCGI and self.values.has("timeouts.idle"):
            why = "is not for {front} fcgi: see {keep_timeout}, {answer_timeout} and "
            self._break_rule("timeouts.idle", why + "{timeouts.connection}")

    def worker(self) -> WorkerKind:
        """Return what workers are made by."""
        kind = self.values.member("worker", WorkerKind, WorkerKind.AUTO)
        if self.around.relay is not None:
            if kind is WorkerKind.NATIVE:
                self._break_rule(
                    "worker",
                    "cannot relay, which -c, -r and -w need; use python or leave it out",
                    "native",
                )
            return WorkerKind.PYTHON
        if kind is WorkerKind.NATIVE and not is_built():
            self._break_rule("worker", NOT_BUILT, "native", ExitCode.SYSTEM)
        return kind

    def readiness(self, worker: WorkerKind, front: FrontKind) -> Readiness:
        """Return how far the program is started ahead."""
        word = self.values.text("ready") or AUTO
        is_auto, is_strict = word == AUTO, word.endswith("!")
        level = AUTO_LEVEL if is_auto else ReadyLevel(word.removesuffix("!"))
        has_root = self._is_chosen_by_request()
        if is_auto and (
            self.values.has("chroot")
            or not can_be_held(front, worker, self.around.relay, has_root=has_root)
        ):
            level = ReadyLevel.FORK
        elif level.is_held and self.values.has("chroot"):
            self._break_rule("ready", NOT_HELD, word)
        elif level is not ReadyLevel.FORK:
            if self.around.relay is not None:
                self._break_rule("ready", "-c, -r and -w need a process that relays", word)
            elif worker is WorkerKind.PYTHON:
                self._break_rule("ready", "{worker} python has no template", word)
            elif is_strict and not is_built():
                self._break_rule("ready", NOT_BUILT, word, ExitCode.SYSTEM)
        warm_up = self.warm_up(level, word)
        return Readiness(
            level,
            is_strict,
            self.values.seconds("hold_timeout"),
            self.values.seconds("renew_after"),
            self.values.text("shared_files") == "allow",
            is_auto,
            self.values.text("trial") == "run" or warm_up is not None,
            warm_up,
        )

    def warm_up(self, level: ReadyLevel, word: str) -> str | None:
        """Return the file with the request for a copy on trial."""
        path = self.values.text("warm_up")
        if path is None:
            return None
        if level not in (ReadyLevel.READ, ReadyLevel.STOP):
            self._break_rule(
                "warm_up",
                "is for {ready} read or stop, where a copy of the program can answer a request "
                f"ahead; here it is {word}",
            )
        elif self.values.has("trial") and self.values.text("trial") == "prepare":
            self._break_rule("warm_up", "needs a copy that runs, which {trial} prepare forbids")
        elif self.values.text("shared_files") == "allow":
            self._break_rule(
                "warm_up",
                "cannot be answered with {shared_files} allow: that copy would move the position "
                "which all share",
            )
        try:
            check_request(path)
        except UnusableRequestError as error:
            self._break_rule("warm_up", str(error), repr(path))
        return path

    def pool(self) -> PoolSettings:
        """Return the size of the pool, and how it changes."""
        values = self.values
        minimum = values.number("workers.min")
        # With a given minimum that many workers wait; without one the number follows the load.
        usual = Strategy.ADAPTIVE if minimum is None else Strategy.EAGER
        strategy = values.member("workers.strategy", Strategy, usual)
        least, most = self._size(strategy, minimum, values.number("workers.max"))
        return PoolSettings(
            least,
            most,
            strategy,
            values.seconds("workers.idle_timeout"),
            values.seconds("timeouts.drain"),
            kill_seconds=values.seconds("timeouts.kill"),
            limit_seconds=values.limit_seconds("timeouts.connection"),
            silence_seconds=values.limit_seconds("timeouts.idle"),
            first_byte_seconds=values.limit_seconds("timeouts.first_byte"),
            spares=self._spares(most),
            delay_seconds=values.limit_seconds("stop_delay") or 0.0,
        )

    def _spares(self, maximum: int) -> int:
        """Return how many workers there may be beyond the maximum, to send clients away."""
        if self.values.get("when_full") in (None, math.inf):
            return 0
        if maximum == MOST_WORKERS:
            why = f"needs a {{workers.max}} below {MOST_WORKERS}: there is one worker more"
            self._break_rule("when_full", why)
        return 1

    def _size(
        self, strategy: Strategy, minimum: int | None, maximum: int | None
    ) -> tuple[int, int]:
        least = 1 if minimum is None else minimum
        if strategy is Strategy.FIXED:
            if maximum is not None and maximum != least:
                self._break_rule(
                    "workers.max",
                    "a fixed pool has exactly as many workers as {workers.min} says "
                    f"({least}), not {maximum}; leave it out or change {{workers.strategy}}",
                )
            return least, least
        most = max(DEFAULT_MAXIMUM, least) if maximum is None else maximum
        if most < least:
            why = f"{most} is less than the {least} of {{workers.min}}"
            self._break_rule("workers.max", why)
            return least, least
        return least, most

    def _is_chosen_by_request(self) -> bool:
        return any(self.values.get(key) is not None for key in ("root", "scripts"))

    def _break_rule(
        self, key: str, why: str, value: str = "", exit_code: int = ExitCode.USAGE
    ) -> None:
        self.problems.append(Problem(key, why, value, exit_code=exit_code))


def _code_of(reason: str) -> int:
    return ExitCode.SYSTEM if reason is NOT_BUILT else ExitCode.USAGE
