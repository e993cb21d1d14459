"""The documents agree with the code: options, events, exit codes, links."""

import re
from pathlib import Path

import pytest

from socketd.errors import ExitCode
from socketd.operations.log import EVENTS

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "contrib").rglob("*.md")]
)
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
# What only one machine or one team can follow: paths, numbers of issues, papers of the authors.
FORBIDDEN = re.compile(
    r"\.\./shared|/work/|/tmp/|/root/|(?<![\w&/])#\d+|\b(?:SOCKET-1\.1|PEERS|STYLE|DESIGN)\.md"
)
UNMEASURED = "Not measured yet"

documents = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)


def table_below(text: str, *head: str) -> list[list[str]]:
    """Return the rows of the one table that has exactly these column heads."""
    lines = text.splitlines()
    heads = [number for number, line in enumerate(lines) if cells(line) == list(head)]
    assert len(heads) == 1, f"{len(heads)} tables with the columns {head}"
    rows = []
    for line in lines[heads[0] + 2 :]:
        if not line.startswith("|"):
            break
        rows.append(cells(line))
    return rows


def cells(line: str) -> list[str]:
    """Return the cells of a table's line, none for any other line."""
    return [cell.strip() for cell in line.split("|")[1:-1]]


def links(text: str) -> list[tuple[str, str]]:
    """Return target and fragment of every link that does not leave the project."""
    found = LINK.findall(FENCE.sub("", text))
    inside = [link for link in found if not re.match(r"[a-z]+:", link)]
    return [(path, fragment) for path, _, fragment in (link.partition("#") for link in inside)]


def anchors(text: str) -> set[str]:
    """Return the fragments by which a page's headings are reached."""
    titles = HEADING.findall(FENCE.sub("", text))
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_event_table_is_the_closed_list_of_the_log() -> None:
    """docs/logging.md has one row for each event, with its level and exactly its keys."""
    text = (ROOT / "docs" / "logging.md").read_text()
    rows = table_below(text, "event", "level", "keys", "meaning")

    table = [
        (event.strip("`"), level, frozenset(re.findall(r"`(\w+)`", keys)), bool(meaning))
        for event, level, keys, meaning in rows
    ]
    assert table == [(event, kind.level.value, kind.keys, True) for event, kind in EVENTS.items()]


def test_exit_code_table_holds_every_code_of_the_commands() -> None:
    """docs/exit-codes.md has one row for each exit code, with its number and name."""
    text = (ROOT / "docs" / "exit-codes.md").read_text()
    rows = table_below(text, "code", "name", "meaning")

    assert [row[:2] for row in rows] == [
        [str(code), name] for name, code in vars(ExitCode).items() if name.isupper()
    ]
    assert all(row[2] for row in rows)


@documents
def test_links_within_the_project_lead_somewhere(document: Path) -> None:
    """Every relative link names a file that exists, and a heading in it if it has a fragment."""
    text = document.read_text()
    broken = []
    for path, fragment in links(text):
        target = document.parent / path if path else document
        if target.suffix == ".svg" and UNMEASURED in text:
            continue  # the benchmark draws it together with the numbers
        if not target.exists() or (fragment and fragment not in anchors(target.read_text())):
            broken.append((path, fragment))

    assert broken == []


@documents
def test_document_names_nothing_that_its_readers_cannot_see(document: Path) -> None:
    """No page points to a path of one machine, to an issue's number or to unpublished papers."""
    assert FORBIDDEN.findall(document.read_text()) == []


def test_table_of_modules_names_every_module_that_there_is() -> None:
    """docs/design.md has one row for each module of the package and for each part in C."""
    rows = table_below((ROOT / "docs" / "design.md").read_text(), "module", "owns", "must not know")
    named = [name for row in rows for name in re.findall(r"`([^`]+)`", row[0])]
    package = ROOT / "socketd"
    modules = {
        ".".join(path.relative_to(package).with_suffix("").parts)
        for path in package.rglob("*.py")
        if path.name != "__init__.py"
    }
    native = {f"native/{path.name}/" for path in (ROOT / "native").iterdir() if path.is_dir()}
    native |= {f"native/{path.name}" for path in (ROOT / "native").glob("*.c")}
    parts = {name for name in named if name.startswith("native/")}

    assert len(named) == len(set(named))
    assert set(named) - parts == modules
    assert native <= parts
    assert [name for name in parts if not (ROOT / name).exists()] == []
    assert all(row[1] for row in rows)


COMMAND = re.compile(r"^#?\s*socketd cgi --[sf]cgi (/\S+) .*--root (\S+)", re.MULTILINE)


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "contrib").glob("*/socketd-*.conf")),
    ids=lambda path: str(path.parent.name),
)
def test_first_command_for_a_web_server_makes_the_folders_that_it_needs(path: Path) -> None:
    """The web server may write to the socket, and docs/cgi.md says the same address and folder."""
    text = path.read_text()
    [(address, folder)] = COMMAND.findall(text)
    before = text[: text.index("socketd cgi")]

    assert f"mkdir -p {Path(address).parent} {folder}\n" in before
    assert f" --group {'caddy' if path.parent.name == 'caddy' else ''}" in text
    assert folder in [one for _, one in COMMAND.findall((ROOT / "docs" / "cgi.md").read_text())]
    assert address in text.replace("socketd cgi --", "", 1).partition("PATH_INFO")[2]


def test_index_of_the_site_names_every_page() -> None:
    """`make docs` would fail for a page that is in no table of contents."""
    folder = ROOT / "docs"
    pages = {str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.md")}
    named = set(re.findall(r"^([\w/-]+)$", (folder / "index.md").read_text(), re.MULTILINE))

    assert pages - {"index"} == named
