"""Every CPython of this machine, by the name of its version."""

import functools
import glob
import os
import re
import subprocess

# What a distribution or pyenv calls them. A shim of pyenv's runs only for whom it is set up.
_PLACES = ("~/.pyenv/versions/*/bin/python", "~/.pyenv/versions/*/bin/python3.*")
_NAME = re.compile(r"python(2\.7|3\.\d+t?)$")
_ASK = (
    "import platform, sys, sysconfig; "
    "print(' '.join([platform.python_implementation(), '%d.%d' % sys.version_info[:2], "
    "'t' if sysconfig.get_config_var('Py_GIL_DISABLED') else '']))"
)


def _candidates() -> list[str]:
    found = [path for place in _PLACES for path in glob.glob(os.path.expanduser(place))]
    for folder in os.get_exec_path():
        if os.path.isdir(folder) and not folder.endswith("/shims"):
            found += [os.path.join(folder, name) for name in os.listdir(folder)]
    return sorted(path for path in found if _NAME.search(path) or path.endswith("/bin/python"))


def _version(path: str) -> str | None:
    """Return such as 3.13 or, without a global lock, 3.13t; None if it is no CPython that runs."""
    done = subprocess.run([path, "-c", _ASK], capture_output=True, text=True, check=False)
    words = done.stdout.split()
    return "".join(words[1:]) if words[:1] == ["CPython"] else None


@functools.cache
def interpreters() -> dict[str, str]:
    """Return the path of one interpreter for each version, oldest first."""
    paths = {os.path.realpath(path): path for path in _candidates()}
    versions = {_version(path): path for path in paths.values()}
    found = {name: path for name, path in versions.items() if name is not None}
    return dict(sorted(found.items(), key=lambda one: _order(one[0])))


def _order(version: str) -> tuple[int, str]:
    minor = version.partition(".")[2]
    return int(version[0]) * 100 + int(minor.rstrip("t")), minor
