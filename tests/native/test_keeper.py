"""A keeper and its program, as far as no server can bring about what matters in them."""

import subprocess
from pathlib import Path

from harness.native import NATIVE

# The master of a group, whose leader divides when it has a signal that waits.
_PROGRAM = r"""
#include "front/keeper.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void lead(pid_t master, const sigset_t *before)
{
    static struct keeper keeper;
    sigset_t pending;

    carry_leave_alone(&keeper.carriage, -1);
    do
        sigpending(&pending);
    while (!sigismember(&pending, SIGTERM));
    keeper.group = getpid();
    keeper.group_sender = master;
    keeper.program = keeper_divide();
    if (keeper.program > 0)
        keeper_stay(&keeper);
    sigprocmask(SIG_SETMASK, before, NULL);
    alarm(10);
    for (;;)
        pause();
}

int main(void)
{
    sigset_t all, before;
    pid_t leader;
    int status;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    leader = fork();
    if (leader == 0)
        lead(getppid(), &before);
    setpgid(leader, leader);
    kill(-leader, SIGTERM);
    waitpid(leader, &status, 0);
    printf("%d", status);
    return 0;
}
"""


def test_signal_that_came_before_the_program_is_there_ends_it(
    compiler: str, tmp_path: Path
) -> None:
    """The group that it was sent to was only the keeper then."""
    source = tmp_path / "keeper.c"
    source.write_text(_PROGRAM)
    program = tmp_path / "keeper"
    subprocess.run(
        [compiler, f"@{NATIVE}/flags", "-iquote", str(NATIVE), "-o", str(program), str(source),
         *map(str, sorted((NATIVE / "front").glob("*.c")))],
        check=True,
    )  # fmt: skip
    done = subprocess.run([program], capture_output=True, check=True, timeout=30)

    assert int(done.stdout) == 15
