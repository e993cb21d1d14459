"""Run the fuzzers long: `make fuzz`, or `python -m fuzz [--seconds N] [NAME...]`.

Owns the order and the time of a run, and where it leaves what it finds: a folder for each fuzzer
below `.fuzz`, with a corpus that grows from run to run. Must not know what any of them tries.

A fuzzer is a file of native/fuzz, driven by libFuzzer, or a property test of Python, driven by
atheris. Without atheris random bytes take its place, which know nothing of what they reach.
"""

import argparse
import importlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FOUND = ROOT / ".fuzz"
NATIVE = {path.stem: path for path in sorted((ROOT / "native" / "fuzz").glob("*.c"))}
MODULES = ("fuzz.test_texts", "fuzz.test_configuration", "unit.test_snapshot")
LONGEST_INPUT = 4096
ONE = "--one"


def properties() -> dict[str, Callable[[bytes], object]]:
    """Return the property tests by their names, each as a function of bytes."""
    found: dict[str, Callable[[bytes], object]] = {}
    for name in MODULES:
        for key, value in vars(importlib.import_module(name)).items():
            if key.startswith("test_") and hasattr(value, "hypothesis"):
                found[key] = value.hypothesis.fuzz_one_input
    return found


def names_of_properties() -> list[str]:
    """Return their names, from a process of its own: nothing may be imported before atheris."""
    command = [sys.executable, "-m", "fuzz", ONE, ""]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def run_native(name: str, seconds: int) -> bool:
    """Build a fuzzer and run it; tell whether it has found nothing."""
    folder = FOUND / name
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    product = folder / name
    build = ["make", "-s", "-C", str(ROOT / "native"), "fuzz", f"FUZZ={name}", f"OUT={product}"]
    subprocess.run(build, check=True)
    command: list[str | Path] = [
        product,
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST_INPUT}",
        f"-artifact_prefix={folder}/",
        "-print_final_stats=1",
        "-timeout=60",
        corpus,
        ROOT / "tests" / "fuzz" / "corpus" / name,
    ]
    return subprocess.run(command, check=False).returncode == 0


def run_property(name: str, seconds: int) -> bool:
    """Run one in a process of its own; tell whether it has found nothing."""
    (FOUND / name / "corpus").mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "fuzz", "--seconds", str(seconds), ONE, name]
    return subprocess.run(command, check=False).returncode == 0


def drive(name: str, seconds: int) -> None:
    """Drive a property until the time is over, or something breaks it."""
    try:
        atheris: Any = importlib.import_module("atheris")
    except ImportError:
        print("no atheris: random bytes", file=sys.stderr)
        drive_blindly(properties()[name], seconds)
        return
    with atheris.instrument_imports(include=["socketd"]):
        function = properties()[name]
    folder = FOUND / name
    words = [f"-max_total_time={seconds}", f"-artifact_prefix={folder}/", str(folder / "corpus")]
    atheris.Setup([sys.argv[0], f"-max_len={LONGEST_INPUT}", *words], function)
    atheris.Fuzz()


def drive_blindly(function: Callable[[bytes], object], seconds: int) -> None:
    """Do the same without any knowledge."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        function(random.randbytes(random.randrange(LONGEST_INPUT)))


def main() -> int:
    """Run what is asked for, or all, one after another; return 1 if any has found something."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Run the fuzzers.")
    parser.add_argument("names", nargs="*", help="all without")
    parser.add_argument("--seconds", type=int, default=600, help="for each (default 600)")
    parser.add_argument(ONE, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one == "":
        print(*properties(), sep="\n")
        return 0
    if options.one:
        drive(options.one, options.seconds)
        return 0
    os.environ["PYTHONPATH"] = str(ROOT / "tests")
    known = {
        **dict.fromkeys(NATIVE, run_native),
        **dict.fromkeys(names_of_properties(), run_property),
    }
    unknown = sorted(set(options.names) - set(known))
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}; known: {', '.join(known)}")
    broken = []
    for name in options.names or known:
        print(f"== {name}", flush=True)
        if not known[name](name, options.seconds):
            broken.append(name)
    for name in broken:
        print(f"{name} has found something: see {FOUND / name}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
