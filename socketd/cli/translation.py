"""`socketd import FILE`: another super-server's configuration as one of ours.

Owns the way from a path to a text and what is said of it. Must not know what an attribute means.
"""

import os

from socketd.drafts import inetd, xinetd
from socketd.drafts.draft import Draft, document
from socketd.drafts.source import Source, is_xinetd, reason
from socketd.drafts.xinetd_file import Parser
from socketd.errors import ConfigurationError

FORMATS = ("xinetd", "inetd")


def translated(path: str, chosen: str | None) -> tuple[str, str]:
    """Return a configuration file, and one line about it. Raises ConfigurationError.

    `chosen` is the kind of the file, None for what it looks like.
    """
    source = Source(path)
    try:
        files = list(source.read(path, os.path.isdir(path)))
    except OSError as error:
        raise ConfigurationError(path, [f"cannot be read: {reason(error)}"]) from error
    kind = chosen or ("xinetd" if any(is_xinetd(text) for _, text in files) else "inetd")
    mistakes: list[str] = []
    remarks = source.remarks
    if kind == "xinetd":
        parser = Parser(source.read, mistakes=mistakes, remarks=remarks)
        for file, text in files:
            parser.parse(file, text)
        drafts = xinetd.services_in(parser)
        head: tuple[str, ...] = xinetd.HEAD
    else:
        drafts = [one for name, text in files for one in inetd.services_in(name, text, mistakes)]
        head = inetd.HEAD
    if mistakes:
        raise ConfigurationError("", mistakes)
    first = f"Written by `socketd import {path}`. Read it before it is used; docs/import.md."
    return document((first, *head, *remarks), drafts), _summary(drafts, len(remarks))


def _summary(drafts: list[Draft], remarks: int) -> str:
    served = [one for one in drafts if one.listen and not one.is_off]
    off = sum(1 for one in drafts if one.listen and one.is_off)
    not_here = sum(1 for one in drafts if not one.listen)
    remarks += sum(len(one.remarks) for one in drafts if one.listen)
    return (
        f"services taken over: {len(served)}, off: {off}, not to be had here: {not_here}; remarks: "
        f"{remarks}; each is a comment in what was written"
    )
