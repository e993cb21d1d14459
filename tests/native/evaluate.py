"""What the C compiler makes of expressions over a header.

Owns the tiny programs for that. Must not know what is compared.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from harness.native import NATIVE


def evaluate(
    compiler: str, folder: Path, header: str, expressions: Sequence[str], functions: str = ""
) -> list[int]:
    """Return the values of expressions over a header, and over functions of a test."""
    prints = "".join(f'printf("%lu\\n", (unsigned long)({text}));' for text in expressions)
    source = folder / "print.c"
    source.write_text(
        f'#include "{header}"\n#include <stdio.h>\n{functions}\nint main(void){{{prints}}}\n'
    )
    program = folder / "print"
    subprocess.run(
        [compiler, f"@{NATIVE / 'flags'}", "-Werror", f"-I{NATIVE}", "-o", program, source],
        check=True,
    )
    printed = subprocess.run([program], capture_output=True, check=True).stdout
    return [int(line) for line in printed.split()]
