"""Measure which lines of native/ the tests reach: `make coverage-native`, or `python -m` of this.

Owns a copy of the tree below `build/coverage`, whose products count, and the table at the end. The
products in use are left alone.

clang's counters live in a file that every process of a product maps (`%c`), so nothing has to be
written at an end: they survive _exit(), exec, SIGKILL, raw clone() and vfork(), in static programs
and in an object that is loaded into those of others. All builds of a source share their counts: as
shipped, with sanitizers, and with a fuzzer's main.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[1]
WORK = ROOT / "build" / "coverage"
TREE = WORK / "tree"
COUNTS = WORK / "counts"
PROGRAMS = WORK / "bin"
VENV = WORK / "venv"
LEFT_OUT = {".git", ".venv", ".fuzz", ".hypothesis", ".pytest_cache", ".mypy_cache", "build"}
TESTS = ("native", "front", "fcgi", "held")
FLAGS = (
    f"-fprofile-instr-generate={COUNTS}/%m%c.profraw -fcoverage-mapping "
    "-mllvm -runtime-counter-relocation"
)


def copy_tree() -> None:
    """Make the copy afresh, and the compiler by which everything in it is built."""
    shutil.rmtree(WORK, ignore_errors=True)
    shutil.copytree(ROOT, TREE, ignore=lambda _, names: LEFT_OUT & set(names), symlinks=True)
    COUNTS.mkdir()
    COUNTS.chmod(0o777)
    PROGRAMS.mkdir()
    for name in ("cc", "gcc"):
        program = PROGRAMS / name
        program.write_text('#!/bin/sh\nexec clang "$@"\n')
        program.chmod(0o755)


def make_venv() -> None:
    """Make an environment with the commands and the package of the copy, and all else of ours.

    PYTHONPATH would not do: servers under test do not get it.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", VENV], check=True)
    folder = Path(sysconfig.get_path("purelib", vars={"base": str(VENV)}))
    folder.joinpath("coverage.pth").write_text(f"{TREE}\n{sysconfig.get_path('purelib')}\n")
    for name in ("socket", "socketd"):
        text = Path(sys.executable).with_name(name).read_text()
        program = VENV / "bin" / name
        program.write_text(f"#!{VENV}/bin/python\n{text.partition(chr(10))[2]}")
        program.chmod(0o755)


def environment() -> dict[str, str]:
    """Return the environment in which the copy is what is tested."""
    return {
        **os.environ,
        "CFLAGS": FLAGS,
        "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
    }


def build() -> None:
    """Compile the products of the copy."""
    for target in ("all", "hold", "wrappers"):
        command = ["make", "-s", "-B", "-C", str(TREE / "native"), target]
        subprocess.run(command, env=environment(), check=True)


def run_tests(names: list[str], jobs: int) -> None:
    """Run tests on them. What fails here and not otherwise is told, and ends nothing."""
    paths = [f"tests/{name}" for name in names]
    command = [
        str(VENV / "bin" / "python"),
        "-m",
        "pytest",
        "-q",
        "-n",
        str(jobs),
        "--dist",
        "worksteal",
    ]
    done = subprocess.run([*command, *paths], cwd=TREE, env=environment(), check=False)
    print(f"pytest has ended with {done.returncode}", flush=True)


def run_corpora() -> None:
    """Run each fuzzer over its corpus."""
    for source in sorted((TREE / "native" / "fuzz").glob("*.c")):
        product = WORK / "fuzzers" / source.stem
        words = ["fuzz", f"FUZZ={source.stem}", f"OUT={product}"]
        product.parent.mkdir(exist_ok=True)
        subprocess.run(["make", "-s", "-C", TREE / "native", *words], env=environment(), check=True)
        corpus = TREE / "tests" / "fuzz" / "corpus" / source.stem
        subprocess.run([product, "-runs=0", corpus], env=environment(), check=False)


def objects() -> list[Path]:
    """Return the products that may have counted, whoever has built them."""
    shipped = (TREE / "socketd" / "native").iterdir()
    built = (TREE / ".pytest_cache" / "native").glob("*/*")
    fuzzers = (WORK / "fuzzers").glob("*")
    found = (*shipped, *built, *fuzzers)
    return [path for path in found if path.is_file() and path.read_bytes()[:4] == b"\x7fELF"]


def report(*, is_html: bool) -> None:
    """Print a line for each file, and its lines with HTML."""
    profile = WORK / "counts.profdata"
    counts = sorted(COUNTS.glob("*.profraw"))
    subprocess.run(["llvm-profdata", "merge", "-o", profile, *counts], check=True)
    first, *others = objects()
    what: list[str | Path] = [
        first,
        *(f"-object={path}" for path in others),
        f"-instr-profile={profile}",
    ]
    leave = "-ignore-filename-regex=/native/fuzz/"
    done = subprocess.run(
        ["llvm-cov", "export", "-summary-only", leave, *what],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    print_table(done.stdout)
    if is_html:
        place = f"-output-dir={WORK / 'html'}"
        subprocess.run(["llvm-cov", "show", "-format=html", place, leave, *what], check=True)
        print(f"lines: {WORK / 'html' / 'index.html'}")


def print_table(summary: str) -> None:
    """Print what of each file is reached."""
    files = json.loads(summary)["data"][0]
    rows = [(file["filename"], file["summary"]) for file in files["files"]]
    rows = [(name.rpartition("/native/")[2], counted) for name, counted in rows]
    for name, counted in [*sorted(rows), ("all", files["totals"])]:
        lines, branches = counted["lines"], counted["branches"]
        print(
            f"{name:<28}{lines['covered']:>6} of {lines['count']:<6}{lines['percent']:6.1f} %"
            f"   branches {branches['percent']:6.1f} %"
        )


def main() -> None:
    """Do it all."""
    parser = argparse.ArgumentParser(description="Measure what tests reach of native/.")
    parser.add_argument("tests", nargs="*", default=TESTS, help=f"default: {' '.join(TESTS)}")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only-corpora", action="store_true", help="of the fuzzers, no tests")
    parser.add_argument("--html", action="store_true", help="write each line with its count")
    options = parser.parse_args()
    copy_tree()
    os.umask(0)  # or processes of other users could not count
    make_venv()
    build()
    run_corpora()
    if not options.only_corpora:
        run_tests(list(options.tests), options.jobs)
    report(is_html=options.html)


if __name__ == "__main__":
    main()
