"""docs/configuration.md agrees with the schema of the file, and its examples can be read."""

import re
from pathlib import Path

import msgspec
import pytest

from socketd.configfile import Surroundings, load
from socketd.schema import Listen, Service, Timeouts, Workers, keys_of

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
EXAMPLES = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def default_of(key: object) -> str:
    """Return the text that stands for a default."""
    assert hasattr(key, "default")
    assert hasattr(key, "is_required")
    value = key.default
    if key.is_required:
        return "needed"
    if value is None:
        return "not set"
    if isinstance(value, msgspec.Struct):
        return "see below"
    plain = msgspec.to_builtins(value, enc_hook=str)
    text = {True: "true", False: "false"}.get(plain) if isinstance(plain, bool) else None
    return f"`{text or (repr(plain) if not isinstance(plain, dict) else '{}')}`"


@pytest.mark.parametrize(
    ("heading", "table"),
    [
        ("### [service.NAME]", Service),
        ("### [service.NAME.workers]", Workers),
        ("### [service.NAME.timeouts]", Timeouts),
        ("### A listener as a table", Listen),
    ],
)
def test_page_has_every_key_with_its_default(heading: str, table: type[msgspec.Struct]) -> None:
    """One row for each key, in the order of the schema, in the words of the error lines."""
    section = PAGE.partition(f"{heading}\n")[2].partition("\n#")[0]
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in section.splitlines()
        if line.startswith("| `")
    ]

    assert rows == [
        [f"`{key.name}`", default_of(key), key.allowed, key.meaning] for key in keys_of(table)
    ]


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_example_is_a_file_without_mistakes(example: str, tmp_path: Path) -> None:
    """What the page shows can be loaded as it stands."""
    file = tmp_path / "services.toml"
    file.write_text(example)

    assert load(str(file), Surroundings({"PATH": "/usr/bin:/bin"}))
