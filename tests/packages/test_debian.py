"""What debian/ says twice is the same; `make check-deb` tries the package itself."""

import itertools
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from socketd import __version__

ROOT = Path(__file__).parents[2]
DEBIAN = ROOT / "debian"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONTROL = (DEBIAN / "control").read_text()
SCRIPTS = ("postinst", "prerm", "postrm")


def needed(field: str) -> dict[str, str]:
    """Return the least version of each package of Python that a field of the control file names."""
    found = re.search(rf"^{field}:\n((?: .*\n)+)", CONTROL, re.MULTILINE)
    assert found is not None
    return dict(re.findall(r" python3-(\w+) \(>= ([\d.]+)\),", found[1]))


def asked_for(requirements: list[str]) -> dict[str, str]:
    """Return the least version of each requirement of the project."""
    return dict(one.split(">=") for one in requirements)


def test_package_needs_what_the_project_needs() -> None:
    """To run, to be built, and for what is an extra elsewhere: the same, in the same versions."""
    project = PROJECT["project"]

    assert needed("Depends") == asked_for(project["dependencies"])
    assert needed("Build-Depends") == asked_for(PROJECT["build-system"]["requires"])
    extras = project["optional-dependencies"]
    assert needed("Recommends") == asked_for(extras["metrics"])
    assert needed("Suggests") == asked_for(extras["plot"] + extras["top"])
    assert f"X-Python3-Version: >= {project['requires-python'].lstrip('>=')}\n" in CONTROL


def test_version_is_that_of_the_project() -> None:
    """A version before a release sorts before it in Debian, too."""
    first = (DEBIAN / "changelog").read_text().partition("\n")[0]
    found = re.match(r"socketd \((.*)-\d+\) ", first)

    assert found is not None
    assert found[1] == re.sub(r"\.?(dev|a|b|rc)(\d+)$", r"~\1\2", __version__)


def test_maintainer_of_the_changelog_is_that_of_the_package() -> None:
    """Else it would be taken for a visitor's."""
    found = re.search(r"^Maintainer: (.*)$", CONTROL, re.MULTILINE)

    assert found is not None
    assert f" -- {found[1]}  " in (DEBIAN / "changelog").read_text()


def test_everything_that_is_named_is_there() -> None:
    """Each document that is installed exists, and each licence is the one of the project."""
    for line in (DEBIAN / "socketd.install").read_text().splitlines():
        assert list(ROOT.glob(line.split()[0])), line
    permission = (ROOT / "LICENSE").read_text().partition("Permission")[2].split()

    assert (DEBIAN / "copyright").read_text().replace(" .\n", "").split()[-len(permission) :] == (
        permission
    )


def test_commands_with_the_names_of_others_are_alternatives() -> None:
    """What the rules rename is registered after an installation and is not before a removal."""
    renamed = re.search(r"for name in ([\w ]+); do", (DEBIAN / "rules").read_text())
    assert renamed is not None
    for name in renamed[1].split():
        assert f" {name} /usr/bin/{name}.socketd 50" in (DEBIAN / "socketd.postinst").read_text()
        assert f"--remove {name} /usr/bin/{name}.socketd" in (DEBIAN / "socketd.prerm").read_text()


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_is_one(name: str) -> None:
    """A shell can read it."""
    subprocess.run(["sh", "-n", DEBIAN / f"socketd.{name}"], check=True)


def test_what_lintian_is_told_to_pass_over_has_a_reason() -> None:
    """A comment stands before each group of overrides."""
    lines = (DEBIAN / "socketd.lintian-overrides").read_text().splitlines()

    assert lines[0].startswith("# ")
    for before, line in itertools.pairwise(lines):
        tag = line.split()[1]
        assert line.startswith("# ") or before.startswith("# ") or tag == before.split()[1]
