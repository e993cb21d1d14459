"""The canary's places, with the libraries and processors that can be had."""

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.native import NATIVE

# Three copies and the one that they are made from, each in ten functions that look at the canary at
# their end.
_PROGRAM = r"""
#include "hold/canary.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __x86_64__
static uintptr_t canary(void) { uintptr_t c; __asm__("movq %%fs:0x28,%0" : "=r"(c)); return c; }
#else
extern uintptr_t __stack_chk_guard;
static uintptr_t canary(void) { return __stack_chk_guard; }
#endif

static __attribute__((noinline)) int deep(int left)
{
    volatile char text[16];

    text[0] = (char)left;
    if (left)
        return deep(left - 1) + text[0];
    const struct survey_look *const looks[SURVEY_LOOKS] = {canary_begin()};
    const char *trouble = canary_settle(survey_memory(looks));
    for (int i = 0; i < 3; i++) {
        int status;

        if (fork() == 0) {
            canary_renew();
            return text[0];
        }
        wait(&status);
        if (status || trouble)
            printf("status %#x: %s\n", (unsigned)status, trouble ? trouble : "");
    }
    return text[0];
}

/* What is there and must not be loaded: a page behind a protection key, and one behind a guard.
 * Where there is none of them it is a page as others. */
static void put_obstacles(void)
{
    const size_t size = (size_t)getpagesize();
    const int access = PROT_READ | PROT_WRITE;
    char *pages = mmap(NULL, 4 * size, access, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    long key = syscall(SYS_pkey_alloc, 0UL, 1UL /* no access */);

    memset(pages, 1, 4 * size);
    madvise(pages + 2 * size, size, 102 /* MADV_GUARD_INSTALL */);
    if (key >= 0)
        syscall(SYS_pkey_mprotect, pages, size, access, key);
}

int main(void)
{
    put_obstacles();
    int sum = deep(9);

    printf("%d %016lx\n", sum, (unsigned long)canary());
    return 0;
}
"""
_SOURCES = ("canary.c", "mappings.c", "survey.c")
_ARM = ("qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu")
_LIBRARIES = {
    "own": ("cc", ()),
    "musl": ("musl-gcc", ()),
    "static musl": ("musl-gcc -static", ()),
    "arm": ("aarch64-linux-gnu-gcc", _ARM),
    "static arm": ("aarch64-linux-gnu-gcc -static", _ARM),
}


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "aarch64"), reason="the canary's place is not known"
)
@pytest.mark.parametrize("name", _LIBRARIES)
def test_each_copy_gets_its_own_and_returns_from_what_had_the_old_one(
    name: str, tmp_path: Path
) -> None:
    """Also if all of ours look at it themselves: this is compiled with protection everywhere."""
    compiler, emulator = _LIBRARIES[name]
    for tool in (compiler.split()[0], *emulator[:1]):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    (tmp_path / "program.c").write_text(_PROGRAM)
    product = str(tmp_path / "program")
    command = [*compiler.split(), f"@{NATIVE / 'flags'}", "-iquote", str(NATIVE), "-Werror"]
    command += ["-fstack-protector-all", "-o", product]
    command += [str(tmp_path / "program.c")]
    command += [str(NATIVE / "hold" / source) for source in _SOURCES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.stderr == ""
    lines = subprocess.check_output([*emulator, product], text=True).splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["45"] * 4
    canaries = [line.partition(" ")[2] for line in lines]
    assert len(set(canaries)) == 4
    assert {"00" in (canary[-2:], canary[-4:-2]) for canary in canaries} == {True}
