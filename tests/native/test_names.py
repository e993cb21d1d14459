"""Names of variables in C: the tables are searched as they are written down, whatever the name."""

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.extent import by_extent
from harness.variables import SENT_BY_SERVERS, STOPPED
from socketd.errors import UsageError
from socketd.settings.request_variables import parse_request_variables

pytestmark = pytest.mark.slow

NATIVE = Path(__file__).parents[2] / "native"
SOURCE = (NATIVE / "front" / "names.c").read_text()
TAKEN, LEFT_OUT, FORBIDDEN = range(3)
CHARACTERS = "ABDEGHILNOPRSTXY_0"
NAMES = st.text(CHARACTERS, min_size=1, max_size=12).filter(lambda name: not name[0].isdigit())


def table(name: str) -> list[str]:
    """Return the entries of a table of the source."""
    found = re.search(rf"{name}\[\] = \{{(.*?)\}};", SOURCE, re.DOTALL)
    assert found
    return re.findall(r'"([^"]*)"', found[1])


FORBIDDEN_NAMES, STANDARD_NAMES, NEEDED_NAMES = (
    table(f"{kind}_names") for kind in ("forbidden", "standard", "needed")
)
# Near what the tables have: the entries themselves, a little more, a little less.
NEAR = st.one_of(
    NAMES,
    st.builds(
        lambda entry, more, cut: (entry.rstrip("*")[: -cut or None] + more) or "A",
        st.sampled_from(
            [*FORBIDDEN_NAMES, *STANDARD_NAMES, *NEEDED_NAMES, "HTTP_PROXY", "A_PROXY"]
        ),
        st.text(CHARACTERS, max_size=2),
        st.integers(0, 1),
    ),
)
ENTRIES = st.one_of(NEAR, NEAR.map("{}*".format), st.just("standard"))
LISTS = st.one_of(st.none(), st.lists(ENTRIES, min_size=1, max_size=4).map(",".join))


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """Return the functions of native/front/names.c."""
    compiler = next((one for one in ("cc", "gcc", "clang") if shutil.which(one)), None)
    if compiler is None:
        pytest.skip("no C compiler")
    product = tmp_path_factory.mktemp("names") / "names.so"
    command = [compiler, "-iquote", str(NATIVE), "-shared", "-fPIC", "-o", str(product)]
    subprocess.run([*command, str(NATIVE / "front" / "names.c")], check=True)
    library = ctypes.CDLL(str(product))
    library.names_judge.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t)
    library.names_is_list.restype = ctypes.c_bool
    return library


def judge(names: ctypes.CDLL, listed: str | None, name: str) -> int:
    """Return the verdict of the C source; the name is followed by its value, as in a request."""
    text = None if listed is None else listed.encode()
    return int(names.names_judge(text, f"{name}=XYZ".encode(), len(name)))


def is_meant(entry: str, name: str) -> bool:
    """Tell whether an entry means a name, by the rule as it is written down."""
    return name.startswith(entry[:-1]) if entry.endswith("*") else name == entry


def expected(listed: str | None, name: str) -> int:
    """Return the verdict by the rule, without any search."""
    if name in NEEDED_NAMES:
        return TAKEN
    if name == "HTTP_PROXY":
        return LEFT_OUT
    entries = ["*"] if listed is None else listed.split(",")
    if name in entries and name != "standard":
        return TAKEN
    if "standard" in entries:
        entries = [*(one for one in entries if one != "standard"), *STANDARD_NAMES]
    if not any(is_meant(entry, name) for entry in entries):
        return LEFT_OUT
    is_proxy = name.upper().endswith("_PROXY") and len(name) > 6 and not name.startswith("HTTP_")
    is_stopped = is_proxy or any(is_meant(entry, name) for entry in FORBIDDEN_NAMES)
    return FORBIDDEN if is_stopped else TAKEN


@pytest.mark.parametrize("entries", [FORBIDDEN_NAMES, STANDARD_NAMES, NEEDED_NAMES])
def test_table_is_sorted_and_nothing_stands_in_it_twice(entries: list[str]) -> None:
    """A name under a beginning that is there too would hide it from the search."""
    assert entries == sorted(set(entries))
    for entry in entries:
        assert [one for one in entries if is_meant(entry, one.rstrip("*"))] == [entry]


@settings(max_examples=by_extent(500, 3_000), deadline=None)
@given(LISTS, NEAR)
def test_search_finds_what_the_tables_say(
    names: ctypes.CDLL, listed: str | None, name: str
) -> None:
    """The same as a look at every entry."""
    assert judge(names, listed, name) == expected(listed, name)


@pytest.mark.parametrize("name", STOPPED)
def test_what_is_dangerous_is_stopped(names: ctypes.CDLL, name: str) -> None:
    """Unless it is named itself."""
    assert judge(names, None, name) == FORBIDDEN
    assert judge(names, "standard", name) == LEFT_OUT
    assert judge(names, name[:-1] + "*", name) == FORBIDDEN
    assert judge(names, f"standard,{name}", name) == TAKEN


@pytest.mark.parametrize("name", SENT_BY_SERVERS)
def test_what_web_servers_send_is_taken(names: ctypes.CDLL, name: str) -> None:
    """Nobody has to list anything to have it."""
    assert judge(names, None, name) == TAKEN


@settings(max_examples=500, deadline=None)
@given(st.text("AZ_09.-*, \0é", max_size=8))
def test_both_sides_take_the_same_lists(names: ctypes.CDLL, text: str) -> None:
    """What Python lets through, the native side does not refuse, and the other way round."""
    try:
        is_list = bool(parse_request_variables(text, ""))
    except UsageError:
        is_list = False

    assert bool(names.names_is_list(text.encode().split(b"\0")[0])) == is_list or "\0" in text
