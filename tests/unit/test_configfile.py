"""The configuration file: what it may hold, and that every mistake is told."""

from itertools import pairwise
from pathlib import Path

import pytest

from socketd.cli.check import check, show
from socketd.config.build import Surroundings
from socketd.config.file import ServerTable, load
from socketd.config.services import DEFAULT_BACKLOG, ServiceSettings, WorkerKind
from socketd.errors import ConfigurationError
from socketd.pool.settings import PoolSettings, Strategy
from socketd.programs.cgi import ClientGone, Folders, Front
from socketd.programs.command import Program
from socketd.settings.address import TcpAddress, UnixAddress
from socketd.settings.confinement import Boundary, Confinement, GroupLimits, ResourceLimit
from socketd.settings.stderr import StderrTarget

AROUND = Surroundings({"PATH": "/usr/bin:/bin", "NOTIFY_SOCKET": "/x"})
ECHO = '[service.echo]\nlisten = ["tcp:127.0.0.1:7000"]\nprogram = "cat"\n'


def read(folder: Path, text: str, around: Surroundings = AROUND) -> list[ServiceSettings]:
    """Load a file with this text."""
    file = folder / "services.toml"
    file.write_text(text)
    return load(str(file), around)


def mistakes(folder: Path, text: str, around: Surroundings = AROUND) -> list[str]:
    """Return all that is wrong with a file, without its name."""
    with pytest.raises(ConfigurationError) as caught:
        read(folder, text, around)
    name = str(folder / "services.toml")
    assert all(line.startswith(f"{name}: ") for line in caught.value.lines)
    return [line.removeprefix(f"{name}: ") for line in caught.value.lines]


def test_smallest_file_has_defaults_for_everything_else(tmp_path: Path) -> None:
    """A service needs an address and a program."""
    [settings] = read(tmp_path, ECHO)

    assert settings.name == "echo"
    assert settings.address == TcpAddress("127.0.0.1", "7000")
    assert settings.program.arguments == ("cat",)
    assert settings.pool == PoolSettings(1, 256, Strategy.ADAPTIVE)
    assert settings.environment == {"PATH": "/usr/bin:/bin"}
    assert (settings.backlog, settings.stderr) == (DEFAULT_BACKLOG, StderrTarget.SOCKET)
    assert settings.confinement == Confinement()


@pytest.mark.parametrize("name", ["", "a:b", ":", "a\\u0000"])
@pytest.mark.parametrize(
    "line",
    [
        "user = '{}'",
        "user = 'root'\ngroups = ['root', '{}']",
        "listen = [{{address = 'unix:/x', owner = '{}'}}]",
        "listen = [{{address = 'unix:/x', group = '{}'}}]",
    ],
)
def test_no_name_of_a_user_or_group_is_empty(tmp_path: Path, line: str, name: str) -> None:
    """Wherever one may stand, and nor is it what no name can be."""
    listen = "" if "listen" in line else "listen = ['tcp:127.0.0.1:7000']\n"
    text = f"[service.x]\nprogram = 'cat'\n{listen}{line.format(name)}".replace("'", '"')

    [mistake] = mistakes(tmp_path, text)

    assert mistake.endswith(("the name of a user", "the name of a group", "primary one first"))


def test_every_key_is_understood(tmp_path: Path) -> None:
    """A file with all that there is becomes the settings that it names."""
    settings = read(
        tmp_path,
        """
        [service.full]
        listen = ["tcp:[::1]:7000", {address = "unix:/x", mode = "0600", owner = "a", group = "b"}]
        program = ["sh", "-c", "date"]
        ready = "fork"
        worker = "python"
        backlog = 7
        stderr = "null"
        user = "root"
        groups = ["root"]
        directory = "/"
        umask = "027"
        nice = 3
        no_new_privs = true
        chroot = "/"
        read_paths = ["/usr", "/etc"]
        write_paths = ["/tmp"]
        tcp_connect = [443]
        cgroup = "/sys/fs/cgroup/x"
        memory_max = "1M"
        cpu_max = 150
        pids_max = 9
        environment = { A = "b" }
        limits = { nofile = 9, core = "unlimited", nproc = [1, "unlimited"] }
        [service.full.workers]
        min = 2
        max = 3
        strategy = "surge"
        idle_timeout = "1m"
        [service.full.timeouts]
        drain = "2s"
        kill = "250ms"
        """,
    )

    assert [one.address for one in settings] == [
        TcpAddress("::1", "7000"),
        UnixAddress("/x", 0o600, "a", "b"),
    ]
    for one in settings:
        assert one.program == Program(one.program.path, ("sh", "-c", "date"))
        assert (one.worker, one.backlog) == (WorkerKind.PYTHON, 7)
        assert one.stderr is StderrTarget.NULL
        assert one.pool == PoolSettings(2, 3, Strategy.SURGE, 60.0, 2.0, kill_seconds=0.25)
        assert one.environment["A"] == "b"
        assert one.confinement == Confinement(
            "root",
            ("root",),
            "/",
            0o027,
            (
                ResourceLimit("nofile", 9, 9),
                ResourceLimit("core", None, None),
                ResourceLimit("nproc", 1, None),
            ),
            3,
            no_new_privs=True,
            chroot="/",
            boundary=Boundary(("/usr", "/etc"), ("/tmp",), (443,), (one.program.path,)),
            group=GroupLimits("/sys/fs/cgroup/x", 1 << 20, 150, 9),
        )


def test_all_mistakes_are_told_in_one_go(tmp_path: Path) -> None:
    """Each with its key, what was found and what is allowed, whatever else is wrong."""
    found = mistakes(
        tmp_path,
        """
        colour = "blue"
        [service.echo]
        listen = ["tcp:127.0.0.1:99999", {address = "unix:/x", mod = "0600"}]
        program = "no-such-program"
        umask = 22
        [service.echo.workers]
        mim = 4
        max = "many"
        [service."a b"]
        program = "cat"
        """,
    )

    assert [line.partition(": ")[0] for line in found] == [
        "colour",
        "service.echo.listen[0]",
        "service.echo.listen[1].mod",
        "service.echo.umask",
        "service.echo.workers.mim",
        "service.echo.workers.max",
        "service.'a b'",
        "service.'a b'.listen",
        "service.echo.program",
    ]
    assert "found 22; allowed: an octal number in quotes, as in '0660'" in found[3]
    assert "unknown key; did you mean 'min'?" in found[4]
    assert "found 'many'; allowed: a whole number from min to 32768" in found[5]
    assert "is missing" in found[7]
    assert "cannot run 'no-such-program': it is not on PATH" in found[8]


@pytest.mark.parametrize(
    ("line", "key", "found"),
    [
        ("backlog = 0", "backlog", "0"),
        ("backlog = true", "backlog", "true"),
        ('backlog = "7"', "backlog", "'7'"),
        ("nice = 20", "nice", "20"),
        ('ready = "soon"', "ready", "'soon'"),
        ('stderr = "file"', "stderr", "'file'"),
        ('umask = "999"', "umask", "'999'"),
        ('umask = "1777"', "umask", "'1777'"),
        ("no_new_privs = 1", "no_new_privs", "1"),
        ('chroot = "jail"', "chroot", "'jail'"),
        ('read_paths = ["usr"]', "read_paths", "['usr']"),
        ("write_paths = []", "write_paths", "[]"),
        ('cgroup = "own"', "cgroup", "'own'"),
        ("cpu_max = 0", "cpu_max", "0"),
        ('pids_max = "9"', "pids_max", "'9'"),
        ("tcp_connect = 70443", "tcp_connect", "70443"),
        ("tcp_connect = [0]", "tcp_connect", "[0]"),
        ('tcp_connect = ["443"]', "tcp_connect", "['443']"),
        ('directory = "var"', "directory", "'var'"),
        ("environment = { A = 1 }", "environment.A", "'A'"),
        ('environment = { "A=B" = "" }', "environment.'A=B'", "'A=B'"),
        ('limits = { nofile = "much" }', "limits.nofile", "'much'"),
        ("limits = { nofile = [2, 1] }", "limits.nofile", "[2, 1]"),
        ("limits = { nofile = [1, 2, 3] }", "limits.nofile", "[1, 2, 3]"),
        ("limits = { nofile = -1 }", "limits.nofile", "-1"),
        ("workers = 4", "workers", "4"),
        ("workers = { min = 0 }", "workers.min", "0"),
        ('workers = { idle_timeout = "1 s" }', "workers.idle_timeout", "'1 s'"),
        ("timeouts = { drain = 30 }", "timeouts.drain", "30"),
    ],
)
def test_value_that_is_not_allowed_is_a_mistake(
    tmp_path: Path, line: str, key: str, found: str
) -> None:
    """One line names the key and what stands there."""
    [mistake] = mistakes(tmp_path, ECHO + line + "\n")

    assert mistake.startswith(f"service.echo.{key}: found {found}")
    assert "; allowed: " in mistake


@pytest.mark.parametrize(
    ("line", "mistake"),
    [
        ('groups = ["a"]', "groups: needs user"),
        ("workers = { min = 4, max = 3 }", "workers.max: 3 is less than the 4 of workers.min"),
        (
            'workers = { min = 4, max = 5, strategy = "fixed" }',
            (
                "workers.max: a fixed pool has exactly as many workers as workers.min says (4), "
                "not 5; leave it out or change workers.strategy"
            ),
        ),
        ('worker = "python"\nready = "load"', "ready: load: worker python has no template"),
    ],
)
def test_broken_rule_between_keys_names_both(tmp_path: Path, line: str, mistake: str) -> None:
    """One line names the key that cannot be as it is, and the other one."""
    assert mistakes(tmp_path, ECHO + line + "\n") == [f"service.echo.{mistake}"]


@pytest.mark.parametrize(
    "listen",
    [
        "tcp:", "tcp:localhost:", "tcp:a b:1", "tcp:::1:7000", "tcp:[::1:7", "tcp:1:2:3",
        "unix:x", "unix:", "fd:", "udp:localhost:1", "tcp:localhost:65536", "tcp:localhost:-1", "",
    ],
)  # fmt: skip
def test_text_that_is_no_address_is_a_mistake(tmp_path: Path, listen: str) -> None:
    """The line says what an address looks like."""
    [mistake] = mistakes(tmp_path, ECHO.replace("tcp:127.0.0.1:7000", listen))

    assert mistake.startswith("service.echo.listen[0]")
    assert f": found {listen!r}; allowed: tcp:HOST:PORT" in mistake


@pytest.mark.parametrize("listen", ["[]", "7000", "[1]"])
def test_listen_is_a_list_with_something_in_it(tmp_path: Path, listen: str) -> None:
    """No listener, or no text, is a mistake."""
    text = ECHO.replace('["tcp:127.0.0.1:7000"]', listen)

    assert mistakes(tmp_path, text)[0].startswith("service.echo.listen")


def test_rights_are_for_paths_only(tmp_path: Path) -> None:
    """A mode beside a port is a mistake."""
    text = ECHO.replace('"tcp:127.0.0.1:7000"', '{address = "tcp:7000", mode = "0600"}')

    assert (
        "listen[0].mode: is for the path of a UNIX socket, which port 7000 is not"
        in mistakes(tmp_path, text)[0]
    )


def test_one_address_has_one_service(tmp_path: Path) -> None:
    """An address that stands twice is a mistake, any free port excepted."""
    twice = ECHO + ECHO.replace("echo", "other")
    free = ECHO.replace("7000", "0")

    assert "which service.echo has too" in mistakes(tmp_path, twice)[0]
    assert len(read(tmp_path, free + free.replace("echo", "other"))) == 2


def test_file_without_services_is_a_mistake(tmp_path: Path) -> None:
    """Nothing to serve is not what anybody means."""
    assert mistakes(tmp_path, "")[0].startswith("service: found {}")


def test_text_that_is_no_toml_is_one_mistake(tmp_path: Path) -> None:
    """A file that cannot be parsed says where."""
    [mistake] = mistakes(tmp_path, "[service.echo\n")

    assert mistake.startswith("is not TOML: ")
    assert "line 1" in mistake


def test_shown_settings_are_a_file_with_the_same_meaning(tmp_path: Path) -> None:
    """What `show` prints can be loaded, and loads as the original does."""
    request = tmp_path / "request"
    request.touch()
    warm = (
        f'[service.w]\nlisten = ["unix:/y"]\nprogram = ["cat"]\nready = "stop"\n'
        f'warm_up = "{request}"\n'
    )
    text = (
        ECHO
        + warm
        + '[service."a.b"]\nlisten = ["unix:/x"]\nprogram = ["cat"]\nlimits = {core = 0}\n'
    )
    settings = read(tmp_path, text)
    shown = tmp_path / "shown.toml"
    shown.write_text(show(str(tmp_path / "services.toml")))

    again = load(str(shown), AROUND)
    assert again == settings
    assert 'strategy = "adaptive"\nidle_timeout = "30s"' in shown.read_text()
    assert "max = 256" in shown.read_text()


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ('user = "no-such-user"', "no-such-user"),
        ('user = "root"\ngroups = ["no-such-group"]', "no-such-group"),
        ('directory = "/no/such"', "the directory '/no/such' does not exist"),
    ],
)
def test_check_tries_what_does_no_harm(tmp_path: Path, line: str, wrong: str) -> None:
    """Users, groups and directories are looked for, and what is missing is told."""
    file = tmp_path / "services.toml"
    file.write_text(ECHO + line + "\n")
    with pytest.raises(ConfigurationError) as caught:
        check(str(file))

    assert len(caught.value.lines) == 1
    assert wrong in caught.value.lines[0]


def test_check_tells_what_is_wrong_with_the_file_and_with_the_system_at_once(
    tmp_path: Path,
) -> None:
    """A mistake in one place hides none of another kind, in the same service or in another."""
    file = tmp_path / "services.toml"
    file.write_text(
        """
        [service.a]
        listen = ["tcp:no-such-host.invalid:1", "unix:/no/such/s"]
        program = "no-such-program"
        user = "no-such-user"
        groups = ["no-such-group", "no-such-either"]
        directory = "/no/such/directory"
        umask = 22
        [service.b]
        listen = [{address = "unix:/tmp/s", owner = "no-such-owner", group = "no-such-owners"}]
        program = "cat"
        """
    )
    with pytest.raises(ConfigurationError) as caught:
        check(str(file))

    told = "\n".join(caught.value.lines)
    for one in (
        "service.a.umask", "service.a.program", "no-such-host.invalid", "/no/such/s",
        "'no-such-user'", "'no-such-group'", "'no-such-either'", "/no/such/directory",
        "'no-such-owner'", "'no-such-owners'",
    ):  # fmt: skip
        assert one in told
    assert len(caught.value.lines) == 10


def test_check_looks_for_hosts_ports_and_owners(tmp_path: Path) -> None:
    """Names of hosts, services, owners and directories of paths are looked up, and all are told."""
    file = tmp_path / "services.toml"
    listen = (
        '"tcp:no-such-host.invalid:1", "tcp:127.0.0.1:nosuchservice", "unix:/no/such/s", '
        '{address = "unix:/tmp/s", owner = "no-such-user"}'
    )
    file.write_text(ECHO.replace('"tcp:127.0.0.1:7000"', listen))
    with pytest.raises(ConfigurationError) as caught:
        check(str(file))

    told = "\n".join(caught.value.lines)
    for one in ("no-such-host.invalid", "nosuchservice", "/no/such/s", "no-such-user"):
        assert one in told
    assert len(caught.value.lines) == 4


CGI = '[service.c]\nlisten = ["tcp:4000"]\nfront = "{front}"\n{more}\n'


def test_front_makes_a_cgi_program_of_the_program(tmp_path: Path) -> None:
    """It runs in its own folder, with a safe PATH and what the file sets, its stderr to the log."""
    program = tmp_path / "a.cgi"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    more = f'program = "{program}"\nhead_timeout = "5s"\nenvironment = {{MODE = "x"}}'

    [settings] = read(tmp_path, CGI.format(front="scgi", more=more))

    assert settings.front == Front(5.0, kill_seconds=5.0)
    assert settings.program == Program(str(program), (str(program),))
    assert settings.environment == {"PATH": "/usr/local/bin:/usr/bin:/bin", "MODE": "x"}
    assert settings.confinement.directory == str(tmp_path)
    assert settings.stderr is StderrTarget.INHERIT


def test_values_of_variables_are_in_no_complaint(tmp_path: Path) -> None:
    """It may end in a log, and they may be secrets."""
    table = 'environment = { TOKEN = "hunter2", NUMBER = 5 }'

    [mistake] = mistakes(tmp_path, f"{ECHO}{table}\n")

    assert mistake.startswith("service.echo.environment.NUMBER: found 'NUMBER'; allowed: names wi")


def test_request_variables_reach_the_front(tmp_path: Path) -> None:
    """By either protocol."""
    more = f"root = '{tmp_path}'\nrequest_variables = ['standard', 'HTTPS', 'SSL_*']"
    names = ("standard", "HTTPS", "SSL_*")

    [scgi] = read(tmp_path, CGI.format(front="scgi", more=more))
    [fcgi] = read(tmp_path, CGI.format(front="fcgi", more=more))
    [wrapped] = read(tmp_path, CGI.format(front="fcgi", more=f'{more}\nworker = "python"'))

    assert scgi.front == Front(30.0, Folders(str(tmp_path)), names, kill_seconds=5.0)
    assert fcgi.front == Front(30.0, Folders(str(tmp_path)), names, 75.0, kill_seconds=5.0)
    assert "standard,HTTPS,SSL_*" in wrapped.program.arguments


def test_what_becomes_of_a_program_reaches_the_front(tmp_path: Path) -> None:
    """By either protocol."""
    more = f"root = '{tmp_path}'\nclient_gone = 'finish'"

    [scgi] = read(tmp_path, CGI.format(front="scgi", more=more))
    [fcgi] = read(tmp_path, CGI.format(front="fcgi", more=more))
    [wrapped] = read(tmp_path, CGI.format(front="fcgi", more=f'{more}\nworker = "python"'))

    assert scgi.front is not None
    assert fcgi.front is not None
    assert (scgi.front.client_gone, fcgi.front.client_gone) == (ClientGone.FINISH,) * 2
    assert ("--client-gone", "finish") in pairwise(wrapped.program.arguments)


def test_front_for_fastcgi_limits_a_request(tmp_path: Path) -> None:
    """What is the limit for a connection elsewhere is not one for a connection that is kept."""
    timeouts = 'timeouts = { connection = "3s", kill = "2s" }'
    more = f'root = "{tmp_path}"\nkeep_timeout = "2m"\n{timeouts}'

    [settings] = read(tmp_path, CGI.format(front="fcgi", more=more))

    assert settings.front == Front(30.0, Folders(str(tmp_path)), None, 120.0, 3.0, 2.0)
    assert settings.pool.limit_seconds is None


def test_front_for_fastcgi_is_the_wrapper_without_native_workers(tmp_path: Path) -> None:
    """The wrapper runs the program for each request, with what the file sets."""
    times = 'head_timeout = "500ms"\nkeep_timeout = "2m"\nworker = "python"'
    more = f'root = "{tmp_path}"\nstderr = "null"\ndirectory = "/"\n{times}'

    [settings] = read(tmp_path, CGI.format(front="fcgi", more=more))

    assert settings.front is None
    assert settings.program.arguments == (
        "fcgi2cgi", "--head-timeout", "0.500", "--keep-timeout", "120.000",
        "--stderr", "null", "--env-prefix", "SOCKETD_PROGRAM_", "--root", str(tmp_path),
    )  # fmt: skip
    assert settings.environment == {"SOCKETD_PROGRAM_PATH": "/usr/local/bin:/usr/bin:/bin"}
    assert settings.confinement.directory == "/"
    assert settings.stderr is StderrTarget.NULL


@pytest.mark.parametrize(
    ("front", "more", "key", "complaint"),
    [
        ("scgi", "", "program", "is missing"),
        ("http", 'program = "cat"', "front", "allowed: one of none, scgi, fcgi"),
        ("scgi", 'program = "cat"\nready = "read"', "ready", "reads its variables before"),
        ("fcgi", 'program = "cat"\nready = "read"', "ready", "reads its variables before"),
        ("fcgi", 'program = "cat"\nready = "relay"', "ready", "reads its variables before"),
        (
            "scgi",
            'program = "cat"\nworker = "python"',
            "front",
            "only native workers read requests",
        ),
        ("scgi", 'root = "/bin"\nready = "load"', "ready", "a request names the program"),
        ("scgi", 'root = "/bin"\nprogram = "cat"', "root", "replaces program"),
        ("scgi", 'root = "bin"', "root", "the absolute path of a directory"),
        ("scgi", 'root = "/nowhere"', "root", "'/nowhere' is not a directory"),
        ("none", 'root = "/bin"', "root", "needs front scgi or fcgi"),
        ("scgi", 'root = "/bin"\nscripts = ["/bin"]', "scripts", "replaces root"),
        ("scgi", 'program = "cat"\nscripts = ["/bin"]', "scripts", "replaces program"),
        ("scgi", 'scripts = ["bin"]', "scripts", "a list of absolute paths"),
        ("scgi", 'scripts = ["/a,b"]', "scripts", "a list of absolute paths"),
        ("scgi", "scripts = []", "scripts", "a list of absolute paths"),
        ("fcgi", 'scripts = ["/nowhere"]', "scripts", "neither a directory nor a file"),
        ("none", 'scripts = ["/bin"]', "scripts", "needs front scgi or fcgi"),
        ("scgi", 'program = "cat"\nindex = ["a"]', "index", "needs root or scripts"),
        ("scgi", 'root = "/bin"\nindex = [".a"]', "index", "a list of names of files"),
        ("scgi", 'root = "/bin"\nindex = "a/b"', "index", "a list of names of files"),
        ("scgi", 'program = "cat"\nrequest_variables = []', "request_variables", "a list of names"),
        ("scgi", 'program = "cat"\nrequest_variables = [""]', "request_variables", "a list of na"),
        ("scgi", 'program = "cat"\nrequest_variables = ["A,B"]', "request_variables", "a list of"),
        ("scgi", 'program = "cat"\nrequest_variables = ["*"]', "request_variables", "a list of n"),
        ("none", 'program = "cat"\nrequest_variables = ["A"]', "request_variables", "needs front"),
        (
            "scgi",
            f'program = "cat"\nrequest_variables = ["{"A" * 4001}"]',
            "request_variables",
            "the list is longer",
        ),
        ("none", 'program = "cat"\nclient_gone = "end"', "client_gone", "needs front"),
        ("scgi", 'program = "cat"\nclient_gone = "stay"', "client_gone", "one of end, finish"),
        ("scgi", 'program = "cat"\nhead_timeout = "soon"', "head_timeout", "a number with ms"),
        ("scgi", 'program = "cat"\nkeep_timeout = "1m"', "keep_timeout", "needs front fcgi"),
    ],
)
def test_front_that_cannot_be_is_a_mistake(
    tmp_path: Path, front: str, more: str, key: str, complaint: str
) -> None:
    """What does not go together is told with the key that asks for it."""
    [mistake] = mistakes(tmp_path, CGI.format(front=front, more=more))

    assert mistake.startswith(f"service.c.{key}: ")
    assert complaint in mistake


@pytest.mark.parametrize("value", ['"run/x"', '""', "3", "false", '"/a\\u0000b"', '["/a"]'])
def test_control_is_an_absolute_path_or_off(tmp_path: Path, value: str) -> None:
    """The place of the control socket is a path from the root, or the word; all else is wrong."""
    file = tmp_path / "services.toml"
    file.write_text(f'control = {value}\n[service.s]\nlisten = ["tcp:7000"]\nprogram = "cat"\n')

    with pytest.raises(ConfigurationError, match=r'control: .*allowed: the absolute path .*"off"'):
        load(str(file), AROUND)


def test_control_of_a_file_is_noted_if_the_file_is_right(tmp_path: Path) -> None:
    """What a file with a mistake says of the server is not taken."""
    file, server = tmp_path / "services.toml", ServerTable()
    rest = '[service.s]\nlisten = ["tcp:7000"]\nprogram = "cat"\n'
    file.write_text(f'control = "/run/x"\n{rest}wrong = 1\n')
    with pytest.raises(ConfigurationError):
        load(str(file), AROUND, server)
    assert (server.control, server.is_read) == (None, False)

    file.write_text(f'control = "/run/x"\n{rest}')
    load(str(file), AROUND, server)
    assert (server.control, server.is_read) == ("/run/x", True)
