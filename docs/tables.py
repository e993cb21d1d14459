"""Writes the tables of settings and options into the documents, from the table of settings.

Owns how a setting looks in each document. `make tables` runs it; a test says whether the documents
are up to date. What it writes stands between two marks, and nothing else is touched.
"""

import functools
import sys
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path

from socketd.cli.options import Option, help_of, own_options, setting_options
from socketd.config.file import LISTEN_ALLOWED, LISTEN_MEANING, inner_tables, settings_in
from socketd.settings.address import LISTEN_FORMS
from socketd.settings.setting import CGI, EXPLAIN, Setting
from socketd.settings.table import offered

ROOT = Path(__file__).parent.parent
_WIDTH = 76


def options_table() -> str:
    """Return the table of the options of `socket`."""
    rows = [
        f"| {option.letter and '-' + option.letter} | --{option.name} | {option.metavar} "
        f"| {option.help} |"
        for option in own_options() + setting_options()
    ]
    return _table("| letter | name | value | meaning |", rows)


def service_keys() -> str:
    """Return the table of a service's own keys."""
    first = f"| `listen` | needed | {LISTEN_ALLOWED} | {LISTEN_MEANING} | |"
    return _keys(settings_in(""), [first])


def inner_keys(table: str) -> str:
    """Return the table of the keys of a table within a service's."""
    return _keys(settings_in(table), [])


def listener_keys() -> str:
    """Return the table of the keys of a listener."""
    first = f"| `address` | needed | {LISTEN_FORMS} | {LISTEN_MEANING} | |"
    return _keys(settings_in("listen"), [first])


def _keys(settings: Iterable[Setting], rows: list[str]) -> str:
    for one in settings:
        usual = "not set" if one.default is None else f"`{_toml(one.kind.show(one.default))}`"
        option = f"`--{one.option}`" if len(one.offers) > 1 else ""
        rows.append(
            f"| `{one.name}` | {_plain(one.usual) or usual} | {one.kind.allowed} "
            f"| {_plain(one.meaning)} | {option} |"
        )
    return _table("| key | default | allowed | meaning | option |", rows)


def _plain(text: str) -> str:
    return text.replace("{", "").replace("}", "")


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _table(head: str, rows: list[str]) -> str:
    rule = "|" + "---|" * (head.count("|") - 1)
    return "\n".join(row.replace("|  |", "| |") for row in [head, rule, *rows])


def manual_options(options: list[Option]) -> str:
    """Return entries of a list in mdoc."""
    lines = []
    for option in options:
        letter = f"Fl {option.letter} , " if option.letter else ""
        value = f" Ar {option.metavar.lower()}" if option.metavar else ""
        lines.append(f".It {letter}Fl \\-{option.name}{value}")
        text = (option.help[0].upper() + option.help[1:] + ".").replace("\\", "\\e")
        lines += [
            "\\&" + line if line.startswith((".", "'")) else line
            for line in textwrap.wrap(text, _WIDTH, break_on_hyphens=False)
        ]
    return "\n".join(lines)


def subcommand_options(place: str) -> str:
    """Return the settings of a subcommand of `socketd` as entries of a list in mdoc."""
    return manual_options(
        [Option(one.letter, one.option, one.metavar, help_of(one)) for one in offered(place)]
    )


def _made() -> dict[tuple[str, str], Callable[[], str]]:
    """Return what is written where: the file, and the name of the mark."""
    page = "docs/configuration.md"
    made: dict[tuple[str, str], Callable[[], str]] = {
        ("docs/command.md", "options"): options_table,
        (page, "service"): service_keys,
        (page, "listen"): listener_keys,
        ("docs/man/socket.1", "settings"): lambda: manual_options(setting_options()),
        ("docs/man/socketd.8", "settings"): functools.partial(subcommand_options, CGI),
        ("docs/man/socketd.8", "settings of explain"): functools.partial(
            subcommand_options, EXPLAIN
        ),
    }
    return made | {(page, table): functools.partial(inner_keys, table) for table in inner_tables()}


def render(path: str, text: str) -> str:
    """Return a document with every table made anew."""
    for (file, name), make in _made().items():
        if file != path:
            continue
        begin, end = _marks(path, name)
        before, begun, rest = text.partition(begin)
        _, ended, after = rest.partition(end)
        if not begun or not ended:
            raise ValueError(f"{path} has no mark {begin!r} with {end!r} behind it")
        text = f"{before}{begin}{make()}{end}{after}"
    return text


def _marks(path: str, name: str) -> tuple[str, str]:
    if path.endswith(".md"):
        return f"<!-- table: {name} -->\n", "\n<!-- end -->"
    return f'.\\" table: {name}\n', '\n.\\" end'


def documents() -> list[str]:
    """Return the documents that have tables."""
    return list(dict.fromkeys(file for file, _ in _made()))


def main() -> None:
    """Write every document that differs."""
    for path in documents():
        file = ROOT / path
        text = file.read_text()
        made = render(path, text)
        if made != text:
            file.write_text(made)
            sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
