"""What the native side says to bytes that are no plan: each has a reason."""

import ctypes
import random
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.native import NATIVE
from harness.plans import encoded, offset_of, worker_plan
from socketd.programs.cgi import Folders, Front
from socketd.programs.privileges import Identity, Privileges
from socketd.settings.confinement import Boundary, ResourceLimit
from socketd.settings.readiness import ReadyLevel
from socketd.workers.plan import FIELDS, HEADER
from socketd.workers.spawner import Handing

CORPUS = NATIVE.parent / "tests" / "fuzz" / "corpus" / "plan"
_SPAN = struct.Struct("=II")
_RUNS = 4000
# Runs the function of the fuzzer over files; a sanitizer ends it where that is wrong.
_MAIN = r"""
#include <stdint.h>
#include <stdio.h>
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);
int main(void)
{
    static uint8_t bytes[65536];
    uint32_t size;
    while (fread(&size, sizeof size, 1, stdin) == 1) {
        if (size > sizeof bytes || fread(bytes, 1, size, stdin) != size)
            return 1;
        LLVMFuzzerTestOneInput(bytes, size);
    }
    return 0;
}
"""

FULL = encoded(
    worker_plan(
        ("/bin/sh", "sh", "-c", "", "x" * 100),
        front=Front(
            1.0, Folders("/srv/cgi", (), ("index.cgi",)), ("standard", "GIT_*"), 75.0, 3.0, 5.0
        ),
        linger_seconds=2.0,
        handing=Handing("0123456789abcdef" * 2),
    ),
    Privileges(
        Identity("who", 1000, 100, (100, 4, 24)),
        "/srv",
        0o27,
        (ResourceLimit("cpu", 1, 2), ResourceLimit("core", 0, None)),
        -5,
        no_new_privs=True,
        chroot="/jail",
        boundary=Boundary(("/usr",), None, (443,)),
    ),
)
FAVOURITE = encoded(
    worker_plan(
        front=Front(1.0, Folders(scripts=("/srv/cgi",))),
        handing=Handing("fedcba9876543210" * 2, is_favourite=True),
    ),
    level=ReadyLevel.LOAD,
)
SAMPLES = {
    "bare": encoded(),
    "full": FULL,
    "relay": encoded(level=ReadyLevel.RELAY),
    "favourite": FAVOURITE,
}

Check = Callable[[bytes], str | None]


@pytest.fixture(scope="module")
def check(compiler: str, tmp_path_factory: pytest.TempPathFactory) -> Check:
    """Return plan_check() of native/plan.c: None, or what is wrong."""
    product = tmp_path_factory.mktemp("plan") / "plan.so"
    front = NATIVE / "front"
    sources = [str(NATIVE / "plan.c"), str(front / "names.c"), str(front / "rule.c")]
    command = [compiler, f"@{NATIVE / 'flags'}", "-iquote", str(NATIVE), "-shared", "-fPIC"]
    subprocess.run([*command, "-o", str(product), *sources], check=True)
    library = ctypes.CDLL(str(product))
    library.plan_check.restype = ctypes.c_char_p
    library.plan_check.argtypes = (ctypes.c_char_p, ctypes.c_size_t)

    def call(content: bytes) -> str | None:
        said = library.plan_check(content, len(content))
        return None if said is None else str(said.decode())

    return call


def changed(field: str, value: int | tuple[int, int], content: bytes = FULL) -> bytes:
    """Return a plan with another value in one of its fields."""
    whole = bytearray(content)
    kind = FIELDS[field]
    numbers = value if isinstance(value, tuple) else (value,)
    struct.pack_into(f"={kind}", whole, offset_of(field), *numbers)
    return bytes(whole)


def span_of(field: str) -> tuple[int, int]:
    """Return the span of a field in the full plan."""
    offset, count = _SPAN.unpack_from(FULL, offset_of(field))
    return offset, count


def overwritten(offset: int, text: bytes) -> bytes:
    """Return the full plan with other bytes somewhere."""
    return FULL[:offset] + text + FULL[offset + len(text) :]


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_what_the_master_writes_is_a_plan(check: Check, sample: bytes) -> None:
    """Nothing is wrong with it."""
    assert check(sample) is None


SIZE = len(FULL)
WRONG = [
    (b"", "none"),
    (FULL[:7], "none"),
    (FULL[:8], "has another size than it says"),
    (FULL[: HEADER.size - 1], "has another size than it says"),
    (FULL[:-1], "has another size than it says"),
    (FULL + b"\0", "has another size than it says"),
    (changed("magic", 0), "none"),
    (changed("version", 3), "of another version"),
    (changed("size", 0), "has another size than it says"),
    (changed("size", 2**64 - 1), "has another size than it says"),
    (changed("master", 0), "names no master"),
    (changed("master", -1), "names no master"),
    (changed("level", 5), "names no level"),
    (changed("stderr_target", 4), "names no standard error"),
    (changed("present", 64), "has what is not known"),
    (changed("head_limit_ms", -1), "front"),
    (changed("head_limit_ms", 0), "front"),
    (changed("head_limit_ms", 0, changed("root", (0, 0))), "front"),
    (changed("protocol", 3), "front"),
    (changed("protocol", 0), "front"),
    (changed("protocol", 1), "front"),
    (changed("keep_limit_ms", 0), "front"),
    (changed("keep_limit_ms", -1), "front"),
    (changed("request_limit_ms", -1), "front"),
    (changed("kill_ms", -1), "front"),
    (changed("client_gone", 2), "front"),
    (changed("is_favourite", 1), "front"),
    (changed("is_favourite", 2, FAVOURITE), "front"),
    (changed("level", 0, FAVOURITE), "front"),
    (changed("token", (0, 0), FAVOURITE), "front"),
    (changed("token", (span_of("token")[0], 32)), "front"),
    (overwritten(span_of("token")[0], b"g"), "front"),
    (changed("root", (0, 0)), "front"),
    (changed("request_stderr", 3), "front"),
    (changed("answer_limit_ms", -1), "front"),
    (changed("scripts", span_of("root")), "front"),
    (overwritten(span_of("indexes")[0], b"/"), "front"),
    (changed("linger_ms", -1), "linger"),
    (changed("umask", 0o1000), "umask"),
    (changed("nice", 21), "niceness"),
    (changed("nice", -21), "niceness"),
    (changed("uid", 2**32 - 1), "users or groups"),
    (changed("gid", 2**32 - 1), "users or groups"),
    (overwritten(span_of("groups")[0] + 4, b"\xff" * 4), "users or groups"),
    (overwritten(span_of("limits")[0], b"\x10"), "limits"),
    (overwritten(span_of("path")[0], b"b"), "path"),
    (overwritten(span_of("chroot")[0], b"j"), "root directory"),
    (overwritten(span_of("request_variables")[0], b"1"), "front"),
    (overwritten(span_of("request_variables")[0], b","), "front"),
    (changed("arguments", (span_of("arguments")[0], 0)), "arguments"),
    (overwritten(span_of("arguments")[0], _SPAN.pack(SIZE, 1)), "arguments"),
    (overwritten(span_of("arguments")[0], _SPAN.pack(0, 0)), "arguments"),
]


@pytest.mark.parametrize(
    ("content", "reason"), WRONG, ids=[f"{i} {reason}" for i, (_, reason) in enumerate(WRONG)]
)
def test_one_wrong_value_is_enough(check: Check, content: bytes, reason: str) -> None:
    """Each field has its bounds, and the reason names it."""
    said = check(content)

    assert said is not None
    assert said.startswith("the ")
    assert reason in said


TEXTS = ["path", "directory", "root", "indexes", "request_variables", "chroot", "token"]
TABLES = {"arguments": 8, "groups": 4, "limits": 24}


@pytest.mark.parametrize("field", TEXTS)
def test_text_ends_where_its_span_says(check: Check, field: str) -> None:
    """Neither before nor after, and inside the plan."""
    offset, count = span_of(field)
    wrong = [
        changed(field, (offset, count - 1)),
        changed(field, (offset, 2**32 - 1)),
        changed(field, (SIZE, count)),
        changed(field, (2**32 - 1, count)),
        overwritten(offset + 1, b"\0"),
        overwritten(offset + count - 1, b"x"),
    ]
    own = {"path": "path", "directory": "directory", "chroot": "root directory"}
    reason = own.get(field, "front")

    assert [reason in (check(content) or "") for content in wrong] == [True] * len(wrong)


@pytest.mark.parametrize("field", TABLES)
def test_table_lies_inside_the_plan(check: Check, field: str) -> None:
    """To its last row, and where numbers may be read."""
    offset, count = span_of(field)
    most = (SIZE - offset) // TABLES[field]
    wrong = [
        changed(field, (offset, most + 1)),
        changed(field, (offset, 2**32 - 1)),
        changed(field, (offset + 1, count)),
        changed(field, (offset + 2, count)),
        changed(field, (SIZE + 8 - SIZE % 8, count)),
        changed(field, (2**32 - 8, count)),
    ]

    assert [field in (check(content) or "") for content in wrong] == [True] * len(wrong)


@given(st.binary(max_size=4), st.integers(0, SIZE - 1))
def test_check_says_something_or_nothing_of_any_bytes(
    check: Check, written: bytes, offset: int
) -> None:
    """A plan with other bytes somewhere is a plan, or there is a reason why not."""
    said = check(overwritten(offset, written)[:SIZE])

    assert said is None or said.startswith("the ")


def _mutants() -> bytes:
    """Return plans with something wrong in them, each behind its size, the same in each run."""
    dice = random.Random(1)
    interesting = [0, 1, 7, 8, SIZE - 1, SIZE, SIZE + 1, 2**31, 2**32 - 8, 2**32 - 1]
    whole = bytearray()
    for _ in range(_RUNS):
        content = bytearray(dice.choice(list(SAMPLES.values())))
        for _ in range(dice.randint(1, 3)):
            at = dice.randrange(16, len(content) // 4 * 4, 4)
            struct.pack_into("=I", content, at, dice.choice([*interesting, dice.getrandbits(8)]))
        if dice.random() < 0.1:
            del content[dice.randrange(len(content)) :]
            if len(content) >= 16:
                struct.pack_into("=Q", content, 8, len(content))
        whole += struct.pack("=I", len(content)) + content
    return bytes(whole)


def test_nothing_is_read_beyond_a_plan(compiler: str, tmp_path: Path) -> None:
    """With the address sanitizer, over thousands of plans that are nearly right."""
    main = tmp_path / "main.c"
    main.write_text(_MAIN)
    product = tmp_path / "check"
    sources = [
        main,
        NATIVE / "fuzz" / "plan.c",
        NATIVE / "plan.c",
        *(NATIVE / "front" / name for name in ("names.c", "rule.c")),
    ]
    sanitizers = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    built = subprocess.run(
        [compiler, f"@{NATIVE / 'flags'}", "-iquote", NATIVE, *sanitizers, "-o", product, *sources],
        capture_output=True,
        text=True,
        check=False,
    )
    if "cannot find" in built.stderr:
        pytest.skip("the C compiler has no sanitizers")
    assert built.returncode == 0, built.stderr

    done = subprocess.run([product], input=_mutants(), capture_output=True, check=False)

    assert (done.returncode, done.stderr.decode(errors="replace")) == (0, "")


def test_corpus_of_the_fuzzer_is_of_this_version() -> None:
    """What it starts from are plans: with others it would not get beyond the first number.

    `python -m native.test_plan_check` in tests/ writes it anew.
    """
    assert {file.name: file.read_bytes()[:8] for file in CORPUS.iterdir()} == {
        name: content[:8] for name, content in SAMPLES.items()
    }


if __name__ == "__main__":
    shutil.rmtree(CORPUS, ignore_errors=True)
    CORPUS.mkdir(parents=True)
    for name, content in SAMPLES.items():
        (CORPUS / name).write_bytes(content)
