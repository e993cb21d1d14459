"""Held programs under `socketd run`: levels from the file, privileges, reloads, replacements."""

import json
import os
import pwd
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.clients import connect, exchange, read_all
from harness.processes import children_of
from harness.supervisors import Supervisor, run_socketd
from harness.waiting import wait_for
from socketd.system.products import is_built

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not is_built(), reason="the native worker was not built: no C compiler"),
]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change user")

Supervise = Callable[..., Supervisor]


def service(program: str | list[str], ready: str = "read!", more: str = "") -> str:
    """Return a file with one service."""
    return (
        f"[service.held]\nlisten = ['tcp:127.0.0.1:0']\nprogram = {json.dumps(program)}\n"
        f"ready = '{ready}'\n{more}\n"
        "[service.held.workers]\nmin = 2\nmax = 8\nidle_timeout = '300ms'\n"
    )


def templates(supervisor: Supervisor) -> list[int]:
    """Return the processes that workers are copied from, those on their way, and the busy."""
    return [one.pid for one in children_of(supervisor.pid) if one.name != "socketd-worker"]


def idle(supervisor: Supervisor) -> int:
    """Return how many workers wait."""
    return sum(one.name == "socketd-worker" for one in children_of(supervisor.pid))


@pytest.mark.parametrize("ready", ["load!", "read!", "relay!"])
def test_level_of_the_file_is_the_one_that_is_held(supervise: Supervise, ready: str) -> None:
    """A service of a file has the levels of --ready."""
    supervisor = supervise(service("cat", ready), level="debug")
    place = supervisor.place("held")

    assert exchange(place, b"hello") == b"hello"
    started = supervisor.server.events("template_started")
    assert [f"{line['ready']}!" for line in started] == [ready]


def test_reload_holds_the_new_program(supervise: Supervise) -> None:
    """A changed program is held in its turn; the copies of the former one leave."""
    supervisor = supervise(service("cat"))
    place = supervisor.place("held")
    before = set(supervisor.server.workers())
    supervisor.reload(service("tr a-z A-Z"))

    wait_for(lambda: exchange(place, b"hello") == b"HELLO", "the new program answers")
    wait_for(lambda: not before & set(supervisor.server.workers()), "the old copies are gone")
    supervisor.server.wait_settled(idle=2)
    assert len(templates(supervisor)) == 1


def slow(folder: Path) -> tuple[str, Path, Path]:
    """Return a program that starts when its gate is open, the gate, and what it answers by then.

    Its own file never changes, which alone would renew a template.
    """
    script, gate, answer = folder / "script", folder / "gate", folder / "answer"
    gate.touch()
    answer.write_text("old")
    script.write_text(
        f"while [ ! -e '{gate}' ]; do sleep 0.02; done\n"
        f"answer=$(cat '{answer}')\nwhile read a; do echo $answer $a; done\n"
    )
    return f"sh {script}", gate, answer


def test_clients_do_not_wait_for_a_reload(supervise: Supervise, tmp_path: Path) -> None:
    """The old template makes copies until the new program is held, however long that takes."""
    program, gate, answer = slow(tmp_path)
    supervisor = supervise(service(program, "read!", "hold_timeout = '100s'"))
    place = supervisor.place("held")
    (old,) = templates(supervisor)
    gate.unlink()
    answer.write_text("new")
    supervisor.reload()
    supervisor.reload()  # another one in line takes the place of the first

    for number in range(20):  # more than can have waited
        assert exchange(place, b"%d\n" % number) == b"old %d\n" % number
    wait_for(lambda: len(templates(supervisor)) == 2, "the first in line has ended")
    gate.touch()

    wait_for(lambda: exchange(place, b"a\n") == b"new a\n", "the new program answers")
    wait_for(lambda: old not in templates(supervisor), "the old template has ended")
    supervisor.server.wait_settled(idle=2)
    assert len(templates(supervisor)) == 1


@pytest.fixture
def gated(supervise: Supervise, tmp_path: Path) -> tuple[Supervisor, Path]:
    """Return a server whose program answers "new" once it may start again, and what opens that."""
    program, gate, answer = slow(tmp_path)
    supervisor = supervise(service(program, "read!", "hold_timeout = '100s'"))
    supervisor.place("held")
    gate.unlink()
    answer.write_text("new")
    return supervisor, gate


def test_clients_do_not_wait_for_a_replacement(gated: tuple[Supervisor, Path]) -> None:
    """The template of the old version makes copies until the new one has held the program."""
    supervisor, gate = gated
    place = supervisor.place("held")
    (old,) = templates(supervisor)

    for times in (1, 2):  # the next version passes the template on in its turn
        assert supervisor.replace()["event"] == "reexec_done"
        for number in range(20):  # more than can have waited
            assert exchange(place, b"%d\n" % number) == b"old %d\n" % number
        wait_for(lambda: len(templates(supervisor)) == 2, f"one comes, one serves: {times}")
        assert old in templates(supervisor)
    gate.touch()

    wait_for(lambda: exchange(place, b"a\n") == b"new a\n", "the new program answers")
    wait_for(lambda: old not in templates(supervisor), "the old template has ended")
    supervisor.server.wait_settled(idle=2)
    assert len(templates(supervisor)) == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_clients_wait_if_the_template_of_the_old_version_dies(
    gated: tuple[Supervisor, Path], number: int
) -> None:
    """What waits serves on, and the next one is the new program's."""
    supervisor, gate = gated
    place = supervisor.place("held")
    (old,) = templates(supervisor)
    supervisor.replace()

    os.kill(old, number)

    wait_for(lambda: old not in templates(supervisor), "its end")
    answers = {exchange(place, b"a\n") for _ in range(2)}
    gate.touch()
    wait_for(lambda: exchange(place, b"a\n") == b"new a\n", "the new program answers")
    assert answers == {b"old a\n"}
    supervisor.server.wait_settled(idle=2)


def test_stop_ends_the_template_of_the_old_version(gated: tuple[Supervisor, Path]) -> None:
    """It is the server's, whoever has started it."""
    supervisor, _ = gated
    supervisor.replace()

    supervisor.server.signal(signal.SIGTERM)

    assert supervisor.server.wait() == 0


def test_reload_after_a_replacement_lets_the_old_template_serve(
    gated: tuple[Supervisor, Path],
) -> None:
    """Sizes are in force at once; the program waits for its turn."""
    supervisor, gate = gated
    place = supervisor.place("held")
    supervisor.replace()
    text = supervisor.file.read_text()

    supervisor.reload(text.replace("min = 2", "min = 5"))

    wait_for(lambda: idle(supervisor) == 5, "the new least number waits")
    assert exchange(place, b"a\n") == b"old a\n"
    gate.touch()
    wait_for(lambda: exchange(place, b"a\n") == b"new a\n", "the new program answers")
    supervisor.server.wait_settled(idle=5)


def test_sizes_of_a_reload_do_not_wait_for_its_program(
    supervise: Supervise, tmp_path: Path
) -> None:
    """What is no matter of the program is in force at once."""
    program, gate, _ = slow(tmp_path)
    text = service(program, "read!", "hold_timeout = '100s'")
    supervisor = supervise(text)
    supervisor.place("held")
    gate.unlink()

    supervisor.reload(text.replace("min = 2", "min = 5"))
    wait_for(lambda: idle(supervisor) == 5, "the new least number waits")
    supervisor.reload(text.replace("min = 2", "min = 1").replace("max = 8", "max = 3"))
    wait_for(lambda: idle(supervisor) <= 3, "no more are left than may be")


def test_stop_does_not_wait_for_a_reload(supervise: Supervise, tmp_path: Path) -> None:
    """A program in line is ended with the server."""
    program, gate, _ = slow(tmp_path)
    supervisor = supervise(service(program, "read!", "hold_timeout = '100s'"))
    place = supervisor.place("held")
    gate.unlink()
    supervisor.reload()
    with connect(place) as busy:
        busy.sendall(b"a\n")
        assert busy.recv(6) == b"old a\n"
        supervisor.server.signal(signal.SIGTERM)
        wait_for(lambda: len(templates(supervisor)) == 1, "all but the busy copy have ended")
        busy.sendall(b"b\n")
        busy.shutdown(1)
        assert read_all(busy) == b"old b\n"
    assert supervisor.server.wait() == 0


def test_reload_renews_but_once(supervise: Supervise) -> None:
    """A renewal of the new generation lets those of the old one to the reload."""
    supervisor = supervise(service("cat", more="renew_after = '300ms'"))
    place = supervisor.place("held")
    for number in range(20):
        if number % 5 == 0:
            supervisor.reload()
        assert exchange(place, b"%d" % number) == b"%d" % number
    supervisor.server.wait_settled(idle=2)


def test_hopeless_level_is_not_tried_again_at_a_reload(
    supervise: Supervise, tmp_path: Path
) -> None:
    """The program is not run for what is known, and nothing is said that has been said."""
    mark, path = tmp_path / "runs", tmp_path / "script"
    path.write_text(f"echo run >> {mark}\nread -t 9 line\necho $line\n")
    supervisor = supervise(service(f"bash {path}", "read"), is_quiet=False, level="debug")
    server = supervisor.server
    server.wait_event("template_started")

    for _ in range(2):
        before = len(server.events("template_started"))
        supervisor.reload()
        wait_for(lambda: len(server.events("template_started")) > before, "another template")  # noqa: B023  called at once

    assert {one["ready"] for one in server.events("template_started")} == {"load"}
    assert mark.read_text() == "run\n"
    assert len(server.events("template_fell_back")) == 1


def test_reload_of_what_must_be_held_and_cannot_be_changes_nothing(
    supervise: Supervise, tmp_path: Path
) -> None:
    """With the mark a level that is known to be hopeless refuses the reload, with its reason."""
    path = tmp_path / "script"
    path.write_text("read line\necho $line\n")
    supervisor = supervise(service(f"bash {path}", "read!"), is_quiet=False)
    place = supervisor.place("held")
    path.unlink()  # a shell that was held reads on in what it has open
    path.write_text("read -t 9 line\necho $line\n")
    supervisor.reload()
    supervisor.server.wait_event("template_failed")

    failed = supervisor.reload()

    assert "--ready read!: its first wait for input has a time limit" in failed["reason"]
    assert exchange(place, b"a\n") == b"a\n"


@pytest.mark.parametrize("ready", ["load!", "read!", "relay!"])
def test_replaced_master_has_templates_of_its_own(supervise: Supervise, ready: str) -> None:
    """After SIGUSR2 the idle copies and the template of before leave, the busy copy finishes."""
    supervisor = supervise(service("cat", ready))
    place = supervisor.place("held")
    before, old = set(supervisor.server.workers()), set(templates(supervisor))
    with connect(place) as busy:
        busy.sendall(b"one ")
        assert busy.recv(4) == b"one "

        assert supervisor.replace()["event"] == "reexec_done"

        for number in range(12):
            assert exchange(place, b"%d" % number) == b"%d" % number
        wait_for(lambda: len(before & set(supervisor.server.workers())) == 1, "the idle have left")
        wait_for(lambda: not old & set(templates(supervisor)), "the old template has ended")
        busy.sendall(b"two")
        busy.shutdown(1)
        assert read_all(busy) == b"two"
    wait_for(lambda: not before & set(supervisor.server.workers()), "the busy one has ended")
    supervisor.server.wait_settled(idle=2)
    assert len(templates(supervisor)) == 1


def test_program_on_its_way_ends_with_a_replacement(supervise: Supervise, tmp_path: Path) -> None:
    """What is not held yet when the master is replaced is ended: nobody could speak to it."""
    late = tmp_path / "late"
    script = tmp_path / "script"
    script.write_text(f"[ ! -e '{late}' ] || sleep 1000\nwhile read a; do echo $a; done\n")
    supervisor = supervise(
        service(f"sh {script}", "read!", "hold_timeout = '500s'"), is_quiet=False
    )
    place = supervisor.place("held")
    before = set(templates(supervisor))
    late.touch()
    supervisor.reload()
    (coming,) = set(templates(supervisor)) - before
    late.unlink()

    assert supervisor.replace()["event"] == "reexec_done"

    wait_for(lambda: coming not in templates(supervisor), "it has ended")
    assert exchange(place, b"hello\n") == b"hello\n"
    supervisor.server.wait_settled(idle=2)
    wait_for(lambda: len(templates(supervisor)) == 1, "the former template has ended")


def test_failed_replacement_changes_nothing(supervise: Supervise) -> None:
    """With a file that is wrong the copies serve on, and a reload works."""
    supervisor = supervise(service("cat"), is_quiet=False)
    place = supervisor.place("held")
    text = supervisor.file.read_text()
    supervisor.file.write_text("[")

    assert supervisor.replace()["event"] == "reexec_failed"

    supervisor.file.write_text(text)
    assert exchange(place, b"hello") == b"hello"
    supervisor.reload()
    supervisor.server.wait_settled(idle=2)


@pytest.mark.usefixtures("reachable")
@needs_root
@pytest.mark.parametrize("ready", ["load!", "read", "stop!"])
def test_held_program_is_the_user_from_its_start(supervise: Supervise, ready: str) -> None:
    """Before its first instruction it has given up everything; so has each copy."""
    entry = pwd.getpwnam("nobody")
    stop = "kill -STOP $$" if ready == "stop!" else ":"
    text = f"start=$(id -u):$(umask):$PWD\n{stop}\nread a\necho $start $(id -u) $a"
    supervisor = supervise(
        service(["sh", "-c", text], ready, "user = 'nobody'\numask = '027'\ndirectory = '/usr'")
    )

    answer = exchange(supervisor.place("held"), b"x\n").decode().split()

    assert answer == [f"{entry.pw_uid}:0027:/usr", str(entry.pw_uid), "x"]
    supervisor.server.wait_settled(idle=2)  # a copy is called like its template at first
    for pid in templates(supervisor):
        assert f"Uid:\t{entry.pw_uid}\t" in Path(f"/proc/{pid}/status").read_text()


@pytest.mark.parametrize("more", ["worker = 'python'", "hold_timeout = 'soon'"])
def test_levels_that_make_no_sense_are_found(tmp_path: Path, more: str) -> None:
    """`socketd check` names the key."""
    file = tmp_path / "services.toml"
    file.write_text(service("cat", "read", more))

    outcome = run_socketd("check", str(file))

    key = "ready" if "worker" in more else "hold_timeout"
    assert outcome.status != 0
    assert f"service.held.{key}: " in outcome.stdout + outcome.stderr


@needs_root
def test_processor_time_is_limited_for_each_copy(supervise: Supervise) -> None:
    """The template lives long and is not limited; its copies are."""
    supervisor = supervise(
        service("cat", "load!", "[service.held.limits]\ncpu = [10, 20]"), level="debug"
    )
    supervisor.place("held")
    (pid,) = templates(supervisor)
    limits = {
        one: Path(f"/proc/{one}/limits").read_text().splitlines()[1].split()[3:5]
        for one in (pid, *supervisor.server.workers())
    }

    assert limits.pop(pid)[0] == "unlimited"
    assert set(map(tuple, limits.values())) == {("10", "20")}
    supervisor.server.signal(signal.SIGTERM)
    assert supervisor.server.wait() == 0
