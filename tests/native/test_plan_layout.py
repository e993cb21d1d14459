"""The C headers of what the master tells the native side, against the Python modules."""

from pathlib import Path

from harness.plans import offset_of
from socketd.errors import WORKER_FAILED_STATUS, ExitCode
from socketd.workers import plan
from socketd.workers.contract import RETIRE_SIGNAL, RING_SIGNAL

from .evaluate import evaluate

_SIZES = {"I": 4, "i": 4, "Q": 8, "II": 8}


def _expressions(name: str, fields: list[str]) -> list[str]:
    return [
        text
        for field in fields
        for text in (f"offsetof(struct {name}, {field})", f"sizeof(((struct {name} *)0)->{field})")
    ]


def test_fields_of_a_plan_stand_at_the_same_places(compiler: str, tmp_path: Path) -> None:
    """Each has the same offset and size on both sides, and there is nothing else."""
    expected = [n for name, kind in plan.FIELDS.items() for n in (offset_of(name), _SIZES[kind])]

    found = evaluate(
        compiler,
        tmp_path,
        "plan.h",
        [*_expressions("plan", list(plan.FIELDS)), "sizeof(struct plan)"],
    )

    assert found == [*expected, plan.HEADER.size]


def test_rows_of_tables_have_the_same_size(compiler: str, tmp_path: Path) -> None:
    """Where one row ends the next one begins."""
    fields = _expressions("plan_limit", ["resource", "soft", "hard"])
    sizes = ["sizeof(struct plan_span)", "sizeof(struct plan_limit)"]

    found = evaluate(compiler, tmp_path, "plan.h", [*fields, *sizes])

    assert found == [0, 4, 8, 8, 16, 8, plan.SPAN.size, plan.LIMIT.size]


def test_numbers_of_a_plan_mean_the_same(compiler: str, tmp_path: Path) -> None:
    """Magic number, version, levels, targets, what is there, and what has no limit."""
    expected = {
        "PLAN_MAGIC": plan.MAGIC,
        "PLAN_VERSION": plan.VERSION,
        "PLAN_HAS_IDENTITY": plan.HAS_IDENTITY,
        "PLAN_HAS_UMASK": plan.HAS_UMASK,
        "PLAN_HAS_NICE": plan.HAS_NICE,
        "PLAN_HAS_NO_NEW_PRIVS": plan.HAS_NO_NEW_PRIVS,
        "RLIM_INFINITY": plan.UNLIMITED,
        **{f"LEVEL_{level.name}": number for level, number in plan.LEVELS.items()},
        **{f"STDERR_{target.name}": number for target, number in plan.STDERR_TARGETS.items()},
    }

    found = evaluate(compiler, tmp_path, "plan.h", list(expected))

    assert dict(zip(expected, found, strict=True)) == expected


def test_first_call_stands_at_the_same_places(compiler: str, tmp_path: Path) -> None:
    """What a program learns before it is held, too."""
    fields = ["magic", "level", "master", "signal", "has_front", "log_inode"]
    others = ["sizeof(struct first_call)", "FIRST_CALL_MAGIC"]

    found = evaluate(
        compiler, tmp_path, "hold/call.h", [*_expressions("first_call", fields), *others]
    )

    assert found == [
        0, 4, 4, 4, 8, 4, 12, 4, 16, 4, 24, 8, plan.FIRST_CALL.size, plan.FIRST_CALL_MAGIC,
    ]  # fmt: skip


def test_exit_codes_mean_the_same(compiler: str, tmp_path: Path) -> None:
    """Those that both sides know."""
    expected = {
        "EXIT_SYSTEM": WORKER_FAILED_STATUS,
        "EXIT_NOT_EXECUTABLE": ExitCode.CANNOT_EXECUTE,
        "EXIT_NOT_FOUND": ExitCode.NOT_FOUND,
    }

    found = evaluate(compiler, tmp_path, "exits.h", list(expected))

    assert dict(zip(expected, found, strict=True)) == expected


def test_signals_mean_the_same(compiler: str, tmp_path: Path) -> None:
    """Those between the master and its workers."""
    found = evaluate(compiler, tmp_path, "pool_signals.h", ["RETIRE_SIGNAL", "RING_SIGNAL"])

    assert found == [RETIRE_SIGNAL, RING_SIGNAL]
