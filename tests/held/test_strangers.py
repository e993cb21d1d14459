"""Programs that put odd things where the server looks: each costs its own hold alone."""

import contextlib
import os
import socket
from pathlib import Path

import pytest

from harness.clients import exchange
from harness.processes import children_of
from harness.stalling import stalled
from harness.waiting import wait_for

from .conftest import Compile, Start, reason, reason_at_load
from .sources import ECHO, program

pytestmark = pytest.mark.slow

AHEAD = "is_ahead()"
BEFORE = """
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
static const char *claim;
static void pretend(int number) { prctl(PR_SET_NAME, claim); pause(); }
"""
NOT_READ = "it has not read its input within"
ODD = {
    "polls nothing at no address": ("poll((void *)-1, 0, -1);", NOT_READ),
    "polls at no address": ("while (poll((void *)-1, 1, -1)) usleep(100);", NOT_READ),
    "selects nothing of no set": ("select(0, (void *)8, 0, 0, 0);", NOT_READ),
    "has the name of nobody in a child that reads": (
        'if (fork()) pause(); prctl(PR_SET_NAME, "\\xff\\n\\x1b[2J"); read(0, &count, 1);',
        "a program that it has started reads its input (???[2J)",
    ),
    "has many children": (
        "for (int i = 0; i < 300; i++) if (!fork()) for (;;) pause(); read(0, &count, 1);",
        "it has started other programs",
    ),
    "pretends to be held": (
        'claim = "socketd@00000"; signal(SIGRTMAX - 3, pretend); read(0, &count, 1);',
        "it cannot be reached: Connection refused",
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_program_is_served_at_another_level(
    start: Start, compile_c: Compile, name: str
) -> None:
    """What it has put there is understood or not known, and the log says why it is not held."""
    body, why = ODD[name]
    path = compile_c(program(f"if ({AHEAD}) {{ {body} }} {ECHO}", BEFORE))
    server = start("read", path, "--hold-timeout", "500ms", is_quiet=False)

    assert why in reason_at_load(server)
    assert server.noise == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a file system of its own")
def test_memory_that_never_comes_keeps_nobody_waiting(
    start: Start, compile_c: Compile, tmp_path: Path
) -> None:
    """Who reads a stranger's memory may wait as long as the stranger: so that is not the master."""
    with contextlib.ExitStack() as stack:
        try:
            path = stack.enter_context(stalled(tmp_path / "file"))
        except OSError:
            pytest.skip("lacks CAP_SYS_ADMIN or FUSE")
        body = f"""
        void *page = mmap(0, 4096, PROT_READ, MAP_PRIVATE, open("{path}", O_RDONLY), 0);
        if (page == MAP_FAILED) return 77;
        poll(page, 1, -1);
        """
        command = compile_c(program(f"if ({AHEAD}) {{ {body} }} {ECHO}", BEFORE))
        server = start("read", command, "--hold-timeout", "500ms", is_quiet=False)

        assert exchange(server.place, b"a\n") == b"a\n"
        assert NOT_READ in reason(server)
    # Not even SIGKILL ends who waits for a file system, until that gives up.
    wait_for(lambda: len(children_of(server.pid)) == 3, "a template and two workers are all")


def test_nobody_else_is_given_what_a_program_is_for(start: Start, compile_c: Compile) -> None:
    """The kernel says who listens at an address; the address itself proves nothing."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind("")
        listener.listen()
        address = os.fsdecode(listener.getsockname()[1:])
        body = f'claim = "socketd@{address}"; signal(SIGRTMAX - 3, pretend); read(0, &count, 1);'
        path = compile_c(program(f"if ({AHEAD}) {{ {body} }} {ECHO}", BEFORE))
        server = start("read", path, is_quiet=False)

        assert exchange(server.place, b"a\n") == b"a\n"
        assert "another process pretends to be it" in reason(server)
        with listener.accept()[0] as connection:
            assert socket.recv_fds(connection, 64, 16)[:2] == (b"", [])


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a network of its own")
def test_program_in_another_network_is_held_before_it_goes_there(
    start: Start, compile_c: Compile
) -> None:
    """An address of the kernel's choice is that of one network; `load` is before it is left."""
    body = f"if (unshare(CLONE_NEWNET)) return 77; {ECHO}"
    path = compile_c(program(body, f"{BEFORE}\n#include <sched.h>"))
    server = start("read", path, is_quiet=False)

    why = reason_at_load(server)
    if "status 77" in why:
        pytest.skip("lacks CAP_SYS_ADMIN")
    assert why == "it cannot be reached: Connection refused"


def test_program_with_odd_files_is_held_and_they_are_listed(
    start: Start, compile_c: Compile
) -> None:
    """The log has a few of them, each as one short line that harms no terminal."""
    body = """
    char path[] = "/tmp/socketd-\\xff\\n\\x1b[2JXXXXXX"; int file = mkstemp(path); unlink(path);
    for (int i = 0; i < 900; i++) dup(file);
    """
    path = compile_c(program(f"{body} {ECHO}"))
    server = start("read!", path, "--shared-files", "allow")

    assert exchange(server.place, b"a\n") == b"a\n"
    listed = str(server.wait_event("template_started")["descriptors"])
    assert listed.isprintable()
    assert "3w=/tmp/socketd-???[2J" in listed
    assert listed.endswith(" ...")


def test_program_may_close_what_it_does_not_know(start: Start, compile_c: Compile) -> None:
    """There is no descriptor of ours before it is held, also where there may be but a few."""
    body = f"struct rlimit few = {{16, 16}}; setrlimit(RLIMIT_NOFILE, &few); {ECHO}"
    body = f"for (int i = 3; i < 1024; i++) close(i); {body}"
    server = start("read!", compile_c(program(body, BEFORE)))

    assert exchange(server.place, b"a\n") == b"a\n"
