"""The subcommands of `socketd` that ask a running server, or tell it what to do.

Owns their grammar. Must not know what is said on a control socket. Modules for one subcommand are
imported only when it is called.
"""

from collections.abc import Callable
from typing import TypeVar

import click

from socketd.cli.clicked import Strict, WholeNumber
from socketd.settings.duration import parse_duration

_Action = Callable[[], int]
_Command = TypeVar("_Command", bound=Callable[..., _Action])
_READY_SECONDS = 60.0


def _of_a_server(command: _Command) -> _Command:
    """Add what says which server a command is about."""
    for option in reversed(
        (
            click.argument("file", type=click.Path(dir_okay=False), required=False),
            click.option(
                "--control",
                type=click.Path(dir_okay=False),
                metavar="PATH",
                help="The control socket of the server, instead of its configuration FILE.",
            ),
            click.option(
                "--pidfile",
                type=click.Path(dir_okay=False),
                metavar="PATH",
                help="A file with the process id of the server, instead.",
            ),
        )
    ):
        command = option(command)
    return command


_SERVICE = click.argument("service")
_ADDRESS = click.option(
    "--address", metavar="ADDRESS", help="Only its listener there, as `socketd status` has it."
)


@click.command(cls=Strict)
@_of_a_server
@click.option("--service", metavar="NAME", help="Show one service only.")
@click.option(
    "-o",
    "fields",
    metavar="FIELDS",
    help="For scripts: a line of these fields for each listener, as in -o service,idle,busy,queue.",
)
@click.option("--board", "is_board", is_flag=True, help="Show a letter for each worker as well.")
@click.option("--json", "is_json", is_flag=True, help="Print the whole state as a JSON object.")
@click.option(
    "--check",
    "is_check",
    is_flag=True,
    help="For Nagios and its like: a line, and an exit code of 0, 1, 2 or 3.",
)
@click.option(
    "--wait-ready", "is_waiting", is_flag=True, help="Wait until all services are up, and no more."
)
@click.option(
    "--timeout",
    "timeout",
    metavar="TIME",
    help=f"Wait no longer than this; the default is {_READY_SECONDS:.0f}s.",
)
def status(
    *,
    file: str | None,
    control: str | None,
    pidfile: str | None,
    service: str | None,
    fields: str | None,
    is_board: bool,
    is_json: bool,
    is_check: bool,
    is_waiting: bool,
    timeout: str | None,
) -> _Action:
    """Show what a running server does.

    FILE is its configuration file; without it, and if only one server runs, it is that one.
    """
    from socketd.cli.asking import Target
    from socketd.cli.status import StatusOptions, show_status, wait_ready

    seconds = _READY_SECONDS if timeout is None else parse_duration(timeout, "--timeout")
    ways = {"-o": fields is not None, "--board": is_board, "--json": is_json, "--check": is_check}
    chosen = [name for name, is_given in (*ways.items(), ("--wait-ready", is_waiting)) if is_given]
    if len(chosen) > 1:
        raise click.UsageError(f"{chosen[0]} and {chosen[1]} exclude each other")
    if timeout is not None and not is_waiting:
        raise click.UsageError("--timeout is for --wait-ready")
    if service is not None and (is_json or is_check or is_waiting):
        raise click.UsageError(f"--service does not go with {chosen[0]}")
    target = Target(file, control, pidfile)
    options = StatusOptions(service, fields, is_json, is_check, is_board)
    if is_waiting:
        return lambda: wait_ready(target.path, seconds)
    return lambda: show_status(target.path, options)


@click.command(cls=Strict)
@_of_a_server
def metrics(*, file: str | None, control: str | None, pidfile: str | None) -> _Action:
    """Answer one HTTP request on stdin and stdout with what a server says of itself.

    /metrics is for Prometheus, /status.json has the whole state, /healthz and /readyz are for
    probes, and / is a page for people.
    """
    from socketd.cli.asking import Target
    from socketd.cli.metrics import metrics as answer_request

    return lambda: answer_request(Target(file, control, pidfile).path)


@click.command(cls=Strict)
@_of_a_server
@click.option("--service", metavar="NAME", help="Show one service only.")
@click.option(
    "--interval",
    metavar="TIME",
    default="1s",
    show_default=True,
    help="Ask the server once in this time.",
)
@click.option("--plain", "is_plain", is_flag=True, help="Show plain text, without keys and mouse.")
def top(
    *,
    file: str | None,
    control: str | None,
    pidfile: str | None,
    service: str | None,
    interval: str,
    is_plain: bool,
) -> _Action:
    """Watch what a running server does, with keys and mouse.

    FILE is its configuration file; without it, and if only one server runs, it is that one.

    Enter opens a listener, k ends the connection of a worker after a question, ? shows all keys.
    """
    from socketd.cli.asking import Target
    from socketd.cli.top import TopOptions
    from socketd.cli.top import top as watch

    options = TopOptions(service, parse_duration(interval, "--interval"), is_plain)
    target = Target(file, control, pidfile)
    return lambda: watch(target.path, options)


def _order(target: tuple[str | None, str | None, str | None], do: str, **about: object) -> _Action:
    """Return what gives an order to a server: its file, its control socket or its pid file."""
    from socketd.cli.asking import Target
    from socketd.cli.orders import give

    return lambda: give(Target(*target), do, **about)


@click.command(cls=Strict)
@_of_a_server
def reload(file: str | None, control: str | None, pidfile: str | None) -> _Action:
    """Have a server do what its FILE says now, and wait for what comes of it.

    Whatever is wrong with FILE is printed, and everything stays as it was.
    """
    return _order((file, control, pidfile), "reload")


@click.command(cls=Strict)
@_of_a_server
def reexec(file: str | None, control: str | None, pidfile: str | None) -> _Action:
    """Replace a running server by the installed version, and wait until that serves."""
    return _order((file, control, pidfile), "reexec")


@click.command(cls=Strict)
@_of_a_server
def stop(file: str | None, control: str | None, pidfile: str | None) -> _Action:
    """Stop a server, and wait until its last connection is over.

    Each further stop hastens it, as a further SIGTERM does.
    """
    return _order((file, control, pidfile), "stop")


@click.command(cls=Strict)
@_SERVICE
@_of_a_server
@_ADDRESS
def drain(
    service: str,
    file: str | None,
    control: str | None,
    pidfile: str | None,
    address: str | None,
) -> _Action:
    """Have a SERVICE take no connection until it is resumed.

    Clients wait in the queue meanwhile; those who are served are finished.
    """
    return _order((file, control, pidfile), "drain", service=service, address=address)


@click.command(cls=Strict)
@_SERVICE
@_of_a_server
@_ADDRESS
def resume(
    service: str,
    file: str | None,
    control: str | None,
    pidfile: str | None,
    address: str | None,
) -> _Action:
    """Have a SERVICE that was drained serve again."""
    return _order((file, control, pidfile), "resume", service=service, address=address)


@click.command(cls=Strict)
@_SERVICE
@_of_a_server
@_ADDRESS
@click.option("--min", "least", type=WholeNumber(1), metavar="N", help="Workers to keep waiting.")
@click.option("--max", "most", type=WholeNumber(1), metavar="N", help="Most workers.")
def size(
    *,
    service: str,
    file: str | None,
    control: str | None,
    pidfile: str | None,
    address: str | None,
    least: int | None,
    most: int | None,
) -> _Action:
    """Set the numbers of workers of a SERVICE until the next reload."""
    if least is None and most is None:
        raise click.UsageError("give --min, --max or both")
    about: dict[str, object] = {"service": service, "address": address, "min": least, "max": most}
    return _order((file, control, pidfile), "size", **about)


@click.command(cls=Strict)
@_SERVICE
@_of_a_server
@_ADDRESS
@click.option("--pid", type=WholeNumber(1), metavar="N", help="Only the worker that this is.")
def retire(
    *,
    service: str,
    file: str | None,
    control: str | None,
    pidfile: str | None,
    address: str | None,
    pid: int | None,
) -> _Action:
    """Replace the workers of a SERVICE that wait by fresh ones."""
    return _order((file, control, pidfile), "retire", service=service, address=address, pid=pid)


@click.command(cls=Strict)
@_SERVICE
@_of_a_server
@_ADDRESS
def renew(
    service: str,
    file: str | None,
    control: str | None,
    pidfile: str | None,
    address: str | None,
) -> _Action:
    """Take a fresh template for the workers of a SERVICE."""
    return _order((file, control, pidfile), "renew", service=service, address=address)


@click.command(cls=Strict)
@click.argument("pid", type=WholeNumber(1))
@_of_a_server
def end(pid: int, file: str | None, control: str | None, pidfile: str | None) -> _Action:
    """End the connection that the process PID serves: SIGTERM, and SIGKILL if it stays."""
    return _order((file, control, pidfile), "end", pid=pid)


@click.command("log-level", cls=Strict)
@click.argument("level", type=click.Choice(["debug", "info", "warning", "error"]))
@_of_a_server
def log_level(level: str, file: str | None, control: str | None, pidfile: str | None) -> _Action:
    """Set the least important level that a server logs until it is started again."""
    return _order((file, control, pidfile), "log_level", level=level)


CONTROL_COMMANDS = (
    status,
    top,
    metrics,
    reload,
    reexec,
    stop,
    drain,
    resume,
    size,
    retire,
    renew,
    end,
    log_level,
)
