"""One table of settings: everything that names settings is made from it."""

import importlib.util
from pathlib import Path
from types import ModuleType

import click
import click.testing
import pytest

from socketd.cli import clicked
from socketd.cli.completion import script
from socketd.cli.given import given
from socketd.cli.options import help_text, parse, usage
from socketd.config.file import Findings
from socketd.config.file import parse as parse_file
from socketd.settings import table
from socketd.settings.kinds import Choice
from socketd.settings.setting import CGI, Setting

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    """Return the module that writes the tables."""
    spec = importlib.util.spec_from_file_location("tables", ROOT / "docs" / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tables_in_the_documents_are_those_of_the_settings(tables: ModuleType) -> None:
    """`make tables` has nothing to write."""
    for path in tables.documents():
        text = (ROOT / path).read_text()

        assert tables.render(path, text) == text, f"{path} is out of date: run make tables"


def test_setting_stands_in_one_place(
    tables: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A row in the table is in parser, file, help, completion, documents and `socketd cgi`."""
    made_up = Setting(
        "made_up", Choice("this that"), "what nobody needs", metavar="WORD", default="this"
    )
    monkeypatch.setattr(table, "SETTINGS", (*table.SETTINGS, made_up))
    file = tmp_path / "services.toml"
    file.write_text('[service.x]\nlisten = ["tcp:1"]\nprogram = "cat"\nmade_up = "that"\n')
    findings = Findings()
    [service] = parse_file(str(file), findings)
    cgi = click.testing.CliRunner().invoke(
        click.command("cgi")(
            clicked.with_settings(CGI)(lambda **found: click.echo(found["made_up"]))
        ),
        ["--made-up", "that"],
    )

    assert given(parse(["--made-up", "that"])).text("made_up") == "that"
    assert given(parse([])).text("made_up") == "this"
    assert "[--made-up WORD]" in usage()
    assert "what nobody needs (this or that; default this)" in " ".join(help_text().split())
    assert findings.mistakes == []
    assert service.values.text("made_up") == "that"
    assert cgi.output == "that\n"
    for shell in ("bash", "zsh", "fish"):
        assert "this that" in script(shell)
    for path in tables.documents():
        assert "made-up" in tables.render(path, (ROOT / path).read_text())


def test_keys_options_and_letters_are_unique() -> None:
    """No two settings share a key, an option or a letter."""
    for names in (
        [one.key for one in table.SETTINGS],
        [one.option for one in table.SETTINGS],
        [one.letter for one in table.SETTINGS if one.letter],
    ):
        assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "setting",
    [one for one in table.SETTINGS if one.default is not None],
    ids=lambda one: one.key,
)
def test_default_is_a_value_of_its_kind(setting: Setting) -> None:
    """What `show` writes for a default is read as the same value."""
    assert setting.kind.take(setting.kind.show(setting.default)) == setting.default
