"""What a program needs to start: its interpreter, its loader and its libraries.

Owns finding out which files those are. Must not know why it is asked.

Only this system's own loader is asked for libraries: any other program might run the program that
it is asked about. What a program opens once it runs is not known.

Source: execve(2) "Interpreter scripts", ld.so(8) "--list".
"""

import contextlib
import os

from socketd.programs.fingerprint import executables
from socketd.programs.loadable import listing_loader, loader_of

_MOST_SECONDS = 10.0


def needed_files(program: str, *, is_listing: bool) -> list[str]:
    """Return the paths of the files; without `is_listing` no libraries.

    What cannot be found out is left out.
    """
    found = list(executables(program))
    loader = None
    with contextlib.suppress(OSError):
        loader = loader_of(found[-1])
    if loader is not None:
        found.append(loader)
        if is_listing and loader == listing_loader():
            found += _libraries(loader, found[-2])
    return found


def _libraries(loader: str, program: str) -> list[str]:
    import subprocess  # which few servers need

    try:
        listed = subprocess.run(
            [loader, "--list", program],
            env={},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_MOST_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    words = os.fsdecode(listed.stdout).split()
    return [word for word in words if word.startswith("/")]
