"""The examples of docs/configuration.md can be read."""

import re
from pathlib import Path

import pytest

from socketd.config.build import Surroundings
from socketd.config.file import load

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
EXAMPLES = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_example_is_a_file_without_mistakes(example: str, tmp_path: Path) -> None:
    """What the page shows can be loaded as it stands."""
    file = tmp_path / "services.toml"
    file.write_text(example)

    assert load(str(file), Surroundings({"PATH": "/usr/bin:/bin"}))
