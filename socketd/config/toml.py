"""Values and keys as TOML.

Owns their form. Must not know what they are for.
"""

import json
import re

_DELETE = "\x7f"  # the one control character that JSON leaves as it is, and TOML does not take


def toml_value(value: object) -> str:
    """Return a value as it stands in a file."""
    if isinstance(value, dict):
        pairs = [f"{toml_key(key)} = {toml_value(one)}" for key, one in value.items()]
        return "{ " + ", ".join(pairs) + " }" if pairs else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace(_DELETE, "\\u007f")


def toml_key(name: str) -> str:
    """Return a name as it stands in front of a value, or in the head of a table."""
    return name if re.fullmatch("[A-Za-z0-9_-]+", name) else toml_value(name)
