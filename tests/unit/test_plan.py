"""The plan: what the native side is told of a service, and nothing is left out."""

import dataclasses
import fcntl
import os
import resource
import socket
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.plans import decode, encoded, worker_plan
from socketd.config.services import ServiceSettings
from socketd.programs.cgi import ClientGone, Folders, Front
from socketd.programs.command import Program
from socketd.programs.privileges import Identity, Privileges
from socketd.settings.confinement import RESOURCES, Boundary, ResourceLimit
from socketd.settings.readiness import ReadyLevel
from socketd.settings.stderr import StderrTarget
from socketd.workers import plan as module
from socketd.workers.groups import SlotGroups
from socketd.workers.plan import encode, encode_first_call, seal
from socketd.workers.spawner import Handing, WorkerPlan

# How else the native side gets them, or why it does not need them.
NOT_IN_PLAN = {
    "name", "address", "environment", "pool", "backlog", "worker", "relay", "confinement",
    "soft_nofile", "readiness", "ends_children", "admission",
}  # fmt: skip

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
paths = texts.map("/{}".format)
ids = st.integers(0, 2**32 - 2)
limit_values = st.none() | st.integers(0, 2**64 - 2)
limits = st.lists(
    st.builds(ResourceLimit, st.sampled_from(sorted(RESOURCES)), limit_values, limit_values),
    max_size=16,
).map(tuple)
identities = st.builds(Identity, texts, ids, ids, st.lists(ids, min_size=1, max_size=9).map(tuple))
privileges = st.builds(
    Privileges,
    st.none() | identities,
    st.none() | paths,
    st.none() | st.integers(0, 0o777),
    limits,
    st.none() | st.integers(-20, 19),
    st.booleans(),
    st.none() | paths,
    st.sampled_from([None, Boundary(tcp_connect=())]),
)
names = st.lists(st.from_regex(r"[A-Z]{1,9}\*?", fullmatch=True), min_size=1, max_size=9)
folders = st.builds(Folders, st.none() | paths, names.map(tuple), names.map(tuple))
durations = st.floats(0.001, 1e9)
fronts = st.builds(
    Front,
    durations,
    st.none() | folders,
    st.none() | names.map(tuple),
    st.none() | durations,
    st.none() | durations,
    durations,
)


def milliseconds(seconds: float) -> int:
    """Return what a duration must be for the native side."""
    return min(-int(-seconds * 1000 // 1), 2**31 - 1)


@given(
    path=paths,
    arguments=st.lists(texts, min_size=1, max_size=6),
    stderr=st.sampled_from(StderrTarget),
    front=st.none() | fronts,
    linger=st.just(0.0) | st.floats(0.001, 1e9),
    master=st.integers(1, 2**22),
    given_up=privileges,
    level=st.sampled_from(ReadyLevel),
    handing=st.none()
    | st.builds(Handing, st.from_regex("[0-9a-f]{32}", fullmatch=True), st.booleans()),
)
def test_plan_says_all_that_was_set(
    path: str,
    arguments: list[str],
    stderr: StderrTarget,
    front: Front | None,
    linger: float,
    master: int,
    given_up: Privileges,
    level: ReadyLevel,
    handing: Handing | None,
) -> None:
    """Whatever the settings are, they can be read again in the bytes."""
    plan = worker_plan(
        (path, *arguments),
        stderr.value,
        front=front,
        linger_seconds=linger,
        master_pid=master,
        handing=handing,
    )

    content = encode(plan, given_up, level)
    said = decode(content)

    who = given_up.identity
    unlimited = 2**64 - 1
    listed = front.request_variables if front else None
    limits = ("keep_limit_ms", "request_limit_ms", "kill_ms", "answer_limit_ms", "body_limit")
    requests = dict.fromkeys(("protocol", *limits, "head_limit", "request_stderr"), 0)
    if front is not None:
        requests |= {"protocol": 1, "kill_ms": milliseconds(front.kill_seconds)}
        requests["body_limit"] = front.body_limit or 0
        requests["head_limit"] = front.head_limit
        requests["answer_limit_ms"] = milliseconds(front.answer_seconds or 0.0)
    if front is not None and front.keep_seconds is not None:
        requests = {
            "protocol": 2,
            "keep_limit_ms": milliseconds(front.keep_seconds),
            "request_limit_ms": milliseconds(front.limit_seconds or 0.0),
            "kill_ms": milliseconds(front.kill_seconds),
            "request_stderr": 0,
            "answer_limit_ms": milliseconds(front.answer_seconds or 0.0),
            "body_limit": front.body_limit or 0,
            "head_limit": front.head_limit,
        }
    chosen = (front.folders if front else None) or Folders()
    assert said == {
        "magic": module.MAGIC,
        "version": module.VERSION,
        "size": len(content),
        "master": master,
        "level": list(ReadyLevel).index(level),
        "stderr_target": list(StderrTarget).index(stderr),
        "present": (who is not None)
        + 2 * (given_up.umask is not None)
        + 4 * (given_up.nice is not None)
        + 8 * given_up.no_new_privs
        + 16 * (given_up.boundary is not None),
        "head_limit_ms": milliseconds(front.head_seconds) if front else 0,
        "linger_ms": milliseconds(linger),
        **requests,
        "uid": who.uid if who else 0,
        "gid": who.gid if who else 0,
        "umask": given_up.umask or 0,
        "nice": given_up.nice or 0,
        "path": path,
        "directory": given_up.directory,
        "root": chosen.root,
        "scripts": ",".join(chosen.scripts) or None,
        "indexes": ",".join(chosen.indexes) or None,
        "request_variables": ",".join(listed) if listed else None,
        "arguments": arguments,
        "groups": list(who.groups) if who else [],
        "limits": [
            (
                RESOURCES[one.name],
                unlimited if one.soft is None else one.soft,
                unlimited if one.hard is None else one.hard,
            )
            for one in given_up.limits
        ],
        "client_gone": list(ClientGone).index(front.client_gone) if front else 0,
        "is_favourite": handing is not None and handing.is_favourite,
        "chroot": given_up.chroot,
        "token": handing.token if handing else None,
    }


BASE = worker_plan(
    front=Front(1.0, Folders("/root", (), ("i",)), ("A",), 1.0, 1.0, 1.0), linger_seconds=1.0
)
CHANGED_SETTINGS: dict[str, object] = {
    "program": Program("/bin/dog", ("cat",)),
    "stderr": StderrTarget.NULL,
    "front": None,
    "linger_seconds": 2.0,
}
CHANGED_FRONT: dict[str, object] = {
    "head_seconds": 2.0,
    "folders": Folders(scripts=("/a", "/b")),
    "request_variables": ("B",),
    "keep_seconds": None,
    "limit_seconds": None,
    "kill_seconds": 2.0,
    "client_gone": ClientGone.FINISH,
    "stderr": StderrTarget.NULL,
    "answer_seconds": 2.0,
    "body_limit": 2,
    "head_limit": 2048,
}
WHO = Identity("who", 1, 2, (2, 3))
GIVEN_UP = Privileges(WHO, "/", 0o22, (ResourceLimit("core", 0, 1),), 1)
CHANGED_PRIVILEGES: dict[str, object] = {
    "identity": None,
    "directory": "/tmp",
    "umask": 0o27,
    "limits": (),
    "nice": 2,
    "no_new_privs": True,
    "chroot": "/jail",
    "boundary": Boundary(tcp_connect=()),
}


def names_of(kind: type) -> set[str]:
    """Return the names of the fields of a dataclass."""
    return {field.name for field in dataclasses.fields(kind)}


@pytest.mark.parametrize("name", sorted(names_of(ServiceSettings) - NOT_IN_PLAN))
def test_no_setting_of_the_native_side_is_left_out(name: str) -> None:
    """A setting that the native side needs changes the bytes; a new one has to be decided on."""
    settings = dataclasses.replace(BASE.settings, **{name: CHANGED_SETTINGS[name]})  # type: ignore[arg-type]  # by name

    assert encoded(dataclasses.replace(BASE, settings=settings)) != encoded(BASE)


@pytest.mark.parametrize("name", sorted(names_of(Front)))
def test_nothing_of_a_front_is_left_out(name: str) -> None:
    """Each field of it changes the bytes."""
    assert BASE.settings.front is not None
    front = dataclasses.replace(BASE.settings.front, **{name: CHANGED_FRONT[name]})  # type: ignore[arg-type]  # by name
    settings = dataclasses.replace(BASE.settings, front=front)

    assert encoded(dataclasses.replace(BASE, settings=settings)) != encoded(BASE)


@pytest.mark.parametrize("name", sorted(names_of(Privileges)))
def test_no_privilege_is_left_out(name: str) -> None:
    """Each field changes the bytes."""
    other = dataclasses.replace(GIVEN_UP, **{name: CHANGED_PRIVILEGES[name]})  # type: ignore[arg-type]  # by name

    assert encoded(privileges=other) != encoded(privileges=GIVEN_UP)


@pytest.mark.parametrize("name", sorted(names_of(Identity) - {"name"}))
def test_nothing_of_an_identity_is_left_out(name: str) -> None:
    """Each number changes the bytes; the name is for people."""
    value: object = (9,) if name == "groups" else 9
    who = dataclasses.replace(WHO, **{name: value})  # type: ignore[arg-type]  # by name

    assert encoded(privileges=Privileges(who)) != encoded(privileges=Privileges(WHO))


def test_nothing_but_settings_and_the_master_is_in_the_bytes() -> None:
    """Plans of one master with the same settings are equal, whatever their sockets are."""
    with closing(socket.socket()) as listener:
        other = WorkerPlan(BASE.settings, listener, 3, BASE.master_pid, 7)

        assert encoded(other) == encoded(BASE)
    assert encoded(dataclasses.replace(BASE, master_pid=1)) != encoded(BASE)


@pytest.mark.parametrize("path", ["/a\0b", "/\udcff"])
def test_path_is_what_the_kernel_takes(path: str) -> None:
    """Bytes that are no UTF-8 come through; a NUL would cut it short, and is refused."""
    plan = worker_plan((path, "x"))
    if "\0" in path:
        with pytest.raises(ValueError, match="NUL"):
            encoded(plan)
    else:
        assert decode(encoded(plan))["path"] == path


def test_unlimited_is_what_the_kernel_takes_for_it() -> None:
    """All ones: what the resource module says is minus one of some width."""
    assert resource.RLIM_INFINITY % 2**64 == module.UNLIMITED


def test_sealed_file_keeps_its_content() -> None:
    """It holds what was given, and nobody can write to it, cut it short or make it longer."""
    content = encoded()
    fd = seal(content)
    try:
        assert Path(f"/proc/self/fd/{fd}").read_bytes() == content
        assert not os.get_inheritable(fd)
        with pytest.raises(PermissionError):
            os.pwrite(fd, b"x", 0)
        for size in (0, len(content) + 1):
            with pytest.raises(PermissionError):
                os.ftruncate(fd, size)
        with pytest.raises(PermissionError):
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL)
    finally:
        os.close(fd)


def test_first_call_says_all_that_was_set() -> None:
    """Level, master, signal, front, trial and log: each in its place."""
    text = encode_first_call(BASE, ReadyLevel.READ, 61, 2**40)

    assert module.FIRST_CALL.unpack(bytes.fromhex(text)) == (
        module.FIRST_CALL_MAGIC, 2, BASE.master_pid, 61, 1, 0, 2**40,
    )  # fmt: skip
    assert encode_first_call(worker_plan(), ReadyLevel.READ, 61, 2**40) != text


def test_plan_says_whether_workers_have_groups() -> None:
    """The template is given a descriptor beside it then."""
    groups = cast("SlotGroups", object())  # the bytes say nothing else of them

    present = decode(encoded(dataclasses.replace(BASE, groups=groups)))["present"]

    assert present == 32
