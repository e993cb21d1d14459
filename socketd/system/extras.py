"""Packages that only some commands need, and that an installation may be without.

Owns which ones there are, and what is said of a missing one. Must not know what they are for.
"""

from socketd.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Extra:
    """A package, and the extra of socketd that brings it."""

    package: str
    extra: str


HTTP = Extra("h11", "metrics")
SCREEN = Extra("textual", "top")
PICTURES = Extra("matplotlib", "plot")


def why_missing(extra: Extra) -> str:
    """Return what is to be said of a package that is not installed, nothing if it is."""
    from importlib.util import find_spec  # which only these commands need

    if find_spec(extra.package) is not None:
        return ""
    return (
        f"the package {extra.package} is not installed (try: pip install 'socketd[{extra.extra}]')"
    )
