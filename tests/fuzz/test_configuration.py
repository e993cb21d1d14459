"""Configuration files as people write them: settings, or all mistakes, each in one line.

An exception of another class fails these tests by itself: it would be a traceback, and at a reload
the end of a running server.
"""

import json
import os

from hypothesis import example, given
from hypothesis import strategies as st

from fuzz.texts import LONG_NUMBER, ODD, mixed
from socketd.config.build import Surroundings
from socketd.config.file import load
from socketd.config.services import ServiceSettings
from socketd.errors import ConfigurationError

AROUND = Surroundings({"PATH": "/usr/bin:/bin"}, {"web": 2})
ECHO = '[service.echo]\nlisten = ["tcp:127.0.0.1:7000"]\nprogram = "cat"\n'
# What stands behind each key where it makes sense.
GOOD: dict[str, list[object]] = {
    "answer_timeout": ["30s"],
    "backlog": [1, 4096],
    "head_limit": [1024, "8K"],
    "body_limit": [1, "100M"],
    "cgroup": ["auto", "/nowhere"],
    "chroot": ["/", "/nowhere"],
    "client_gone": ["end", "finish"],
    "cpu_max": [1, 150],
    "directory": ["/", "/nowhere"],
    "environment": [{}, {"A": "b"}],
    "front": ["none", "scgi", "fcgi"],
    "groups": [["root"], ["0", "nogroup"]],
    "head_timeout": ["30s"],
    "hold_timeout": ["10s"],
    "index": [["index.cgi"], ["a", "b"]],
    "script_templates": [0, 8],
    "scripts": [["/"], ["/bin", "/bin/sh"]],
    "shared_files": ["allow"],
    "keep_children": [True, False],
    "keep_timeout": ["75s"],
    "limits": [{"nofile": 1024}, {"core": [0, "unlimited"]}, {"nofile": "unlimited"}],
    "listen": [
        ["tcp:7000"],
        ["tcp:[::1]:0", "unix:/x"],
        ["fd:web"],
        [{"address": "unix:/x"}],
        [{"address": "tcp:1", "keepalive": "9s,9s,9", "interface": "lo", "nodelay": True}],
        ["unix:@x"],
        [{"address": "tcp:1", "freebind": True, "user_timeout": "1s"}],
    ],
    "memory_max": ["1M", 4096],
    "nice": [-20, 19],
    "no_new_privs": [True, False],
    "pids_max": [1, 32],
    "program": ["cat", ["cat"], "cat | cat"],
    "read_paths": [["/"], ["/usr", "/nowhere"]],
    "ready": ["fork", "read!", "relay"],
    "renew_after": ["1h"],
    "root": ["/", "/bin"],
    "shell": ["auto", "always", "never"],
    "stderr": ["socket", "inherit", "syslog", "null"],
    "tcp_connect": [[], [1, 65535]],
    "timeouts": [
        {"connection": "1s", "drain": "1s", "kill": "1s"},
        {"idle": "1s"},
        {"first_byte": "1s"},
    ],
    "trial": ["run"],
    "umask": ["022"],
    "user": ["root", "nobody", "65534"],
    "warm_up": ["/etc/passwd", "/nowhere"],
    "worker": ["auto", "native", "python"],
    "write_paths": [["/"], ["/tmp", "/nowhere"]],
    "workers": [{"min": 1, "max": 2, "strategy": "fixed"}, {"idle_timeout": "1s"}],
}
INNER = ("address", "mode", "owner", "group", "min", "max", "strategy", "idle_timeout", "drain")
PARTS = (*GOOD, *INNER, "cat", "tcp:", "unix:/x", "fd:web", "30s", "0660", "root", "unlimited")

scalars = st.one_of(
    st.sampled_from([value for values in GOOD.values() for value in values]),
    mixed(PARTS),
    st.integers(-(2**65), 2**65),
    st.floats(),
    st.booleans(),
)
names = st.sampled_from([*GOOD, *INNER]) | mixed(PARTS, most=2)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=5,
)
good_tables = st.fixed_dictionaries(
    {"listen": st.sampled_from(GOOD["listen"]), "program": st.sampled_from(GOOD["program"])},
    optional={
        key: st.sampled_from(good) for key, good in GOOD.items() if key not in {"listen", "program"}
    },
)
tables = st.builds(
    lambda good, bad: {**good, **bad}, good_tables, st.dictionaries(names, values, max_size=2)
)
documents = st.dictionaries(
    st.sampled_from(["echo", "web"]) | mixed(PARTS, most=2), tables | values, max_size=3
).map(lambda services: {"service": services})


def toml(value: object) -> str:
    """Return a value in the notation of one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(key)} = {toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        return quoted(value)
    return str(value).lower()


def quoted(text: str) -> str:
    """Return a basic string; a surrogate, which TOML has no way to write, becomes another sign."""
    sound = "".join("\ufffd" if "\ud800" <= one <= "\udfff" else one for one in text)
    return json.dumps(sound, ensure_ascii=False).replace("\x7f", "\\u007F")


def read(content: bytes) -> list[ServiceSettings]:
    """Return what a file with this content says, nothing for one that is refused as it should."""
    fd = os.memfd_create("services.toml")
    try:
        os.write(fd, content)
        return load(f"/proc/self/fd/{fd}", AROUND)
    except ConfigurationError as error:
        lines = error.lines
    finally:
        os.close(fd)
    assert lines
    assert [line for line in lines if len(line.splitlines()) != 1] == []
    return []


@given(documents)
def test_document_is_settings_or_mistakes(document: dict[str, dict[str, object]]) -> None:
    """Whatever stands behind a key; and what is understood makes sense."""
    keys: set[str] = set()
    for settings in read("".join(f"{k} = {toml(v)}\n" for k, v in document.items()).encode()):
        assert settings.key not in keys
        keys.add(settings.key)
        assert 1 <= settings.pool.minimum <= settings.pool.maximum
        assert all("\0" not in name + value for name, value in settings.environment.items())
        assert "\0" not in settings.program.path + "".join(settings.program.arguments)


@given(tables)
def test_table_that_is_sound_becomes_settings_for_each_address(table: dict[str, object]) -> None:
    """One for each, or none at all."""
    content = (
        f"[service.x]\n{''.join(f'{quoted(k)} = {toml(v)}{chr(10)}' for k, v in table.items())}"
    )
    found = read(content.encode())

    assert not found or {one.name for one in found} == {"x"}
    assert len({one.key for one in found}) == len(found)


@given(
    st.lists(
        st.sampled_from([ECHO, "[service.", "]\n", "[[", " = ", '"""', "{", "}", "#", "\n", *ODD])
        | mixed(PARTS, most=2),
        max_size=8,
    )
    .map("".join)
    .map(lambda text: text.encode(errors="surrogatepass"))
    | st.binary(max_size=100).map(ECHO.encode().__add__)
)
@example(f"{ECHO}backlog = {LONG_NUMBER}".encode())
@example(f"{ECHO}environment = {'[' * 10_000}".encode())
@example(f"{ECHO}environment = {'{a=' * 10_000}".encode())
@example(f"[{'a.' * 10_000}a]".encode())
@example(b"\xef\xbb\xbf" + ECHO.encode())
@example(f'{ECHO}user = "a\\u0000"'.encode())
def test_text_is_settings_or_mistakes(content: bytes) -> None:
    """Whatever a file holds."""
    assert all(settings.name for settings in read(content))
