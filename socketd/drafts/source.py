"""The files of another super-server, which may be anybody's: read within bounds.

Owns how much is read, in which order, and which kind of file it is. Must not know what they say.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator

from socketd.dataclass import dataclass, field
from socketd.errors import ConfigurationError, describe_errno

MOST_BYTES = 2**20
MOST_FILES = 1000
_XINETD = re.compile(
    r"^\s*(?:service\s+\S+|defaults)\s*\{?\s*$|^\s*include(?:dir)?\s", re.MULTILINE
)


@dataclass(slots=True)
class Source:
    """Reads files, each once; files of a folder that cannot be read are among the remarks.

    Raises ConfigurationError for too many files, and for one that is too large or no text.
    """

    beginning: str
    remarks: list[str] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)

    def read(self, path: str, is_folder: bool) -> Iterator[tuple[str, str]]:  # noqa: FBT001  Read
        """Yield the files of a path with their texts. Raises OSError if there is none."""
        paths: Iterable[str] = [path]
        if is_folder:
            paths = [os.path.join(path, name) for name in sorted(os.listdir(path)) if _counts(name)]
        for one in paths:
            real = os.path.realpath(one)
            if real in self._seen or (is_folder and os.path.isdir(one)):
                continue
            self._seen.add(real)
            if len(self._seen) > MOST_FILES:
                why = (
                    f"cannot be read: with all that it includes it is more than {MOST_FILES} files"
                )
                raise ConfigurationError(self.beginning, [why])
            try:
                text = _text_of(one)
            except OSError as error:
                if not is_folder:
                    raise
                self.remarks.append(f"{one!r} cannot be read: {reason(error)}")
                continue
            yield one, text


def is_xinetd(text: str) -> bool:
    """Tell whether a text is one of xinetd's, and not one of any inetd's."""
    return _XINETD.search(text) is not None


def _counts(name: str) -> bool:
    """Tell whether a file of a folder counts, as xinetd has it."""
    return "." not in name and not name.endswith("~")


def _text_of(path: str) -> str:
    """Return the text of a regular file. Raises OSError, and ConfigurationError for any other."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ConfigurationError(path, ["cannot be read: it is no regular file"])
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        why = f"cannot be read: it has more than the {MOST_BYTES} bytes that are read"
        raise ConfigurationError(path, [why])
    lines = content.split(b"\n")
    for number, line in enumerate(lines, 1):
        try:
            line.decode()
        except UnicodeDecodeError:
            if not line.lstrip().startswith(b"#"):
                why = f"line {number} is no text in UTF-8"
                raise ConfigurationError(path, [why]) from None
    return content.decode(errors="replace")


def reason(error: OSError) -> str:
    """Return why a file cannot be read."""
    return describe_errno(error.errno or 0)
