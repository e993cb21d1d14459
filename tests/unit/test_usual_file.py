"""The file of services that is meant where none is named."""

import os
from pathlib import Path

import pytest

from socketd.cli.usual_file import usual_file
from socketd.errors import UsageError


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_file_of_this_folder_comes_first(tmp_path: Path) -> None:
    """And the system's where there is none."""
    system = tmp_path / "system.toml"
    system.touch()

    assert usual_file(str(system)) == str(system)
    (tmp_path / "socketd.toml").touch()
    assert usual_file(str(system)) == "./socketd.toml"


def test_without_either_it_has_to_be_named(tmp_path: Path) -> None:
    """One line says where it was looked for."""
    with pytest.raises(UsageError, match=r"neither \./socketd\.toml nor .*/none"):
        usual_file(str(tmp_path / "none"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_strangers_file_has_to_be_named(tmp_path: Path) -> None:
    """It would choose what is run."""
    (tmp_path / "socketd.toml").touch()
    os.chown(tmp_path / "socketd.toml", 12345, 12345)

    with pytest.raises(UsageError, match=r"belongs to user 12345, so it must be named"):
        usual_file(str(tmp_path / "none"))
