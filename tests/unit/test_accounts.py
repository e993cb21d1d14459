"""Users and groups: which texts name one, and that none of them means "as it is"."""

import os
import pwd

import pytest

from socketd.errors import SystemFailureError, UsageError
from socketd.system.accounts import check_name, find_group, find_user, groups_of, parse_user

# What the kernel takes for "leave it", by whatever way it might be written; and what is no number.
NOBODY_AT_ALL = [
    "", " ", "4294967295", "04294967295", "-1", "4294967296", "18446744073709551615", "9" * 5000,
    "+0", " 0", "0 ", "0x0", "0\n", "\u0660", "\uff10", "1_0", "1e0", "a\0b", "no-such-name",
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "user", "group"),
    [
        ("nobody", "nobody", None),
        ("nobody:daemon", "nobody", "daemon"),
        ("0:0", "0", "0"),
        ("a b:c", "a b", "c"),
    ],
)
def test_user_may_have_a_group(text: str, user: str, group: str | None) -> None:
    """USER or USER:GROUP."""
    assert parse_user(text, "--user") == (user, group)


@pytest.mark.parametrize("text", ["", ":", ":1", "nobody:", ":nobody", "::", "a::b", "a:b:c", "\0"])
def test_empty_name_is_a_mistake(text: str) -> None:
    """An unset variable must not mean that the program stays root."""
    with pytest.raises(UsageError, match=r"^--user: "):
        parse_user(text, "--user")


@pytest.mark.parametrize("text", ["", "a:b", ":", "a\0"])
def test_single_name_is_checked_too(text: str) -> None:
    """A group of a list, the owner of a socket."""
    with pytest.raises(UsageError, match=r"^groups: "):
        check_name(text, "groups")


@pytest.mark.parametrize("text", NOBODY_AT_ALL, ids=ascii)
def test_what_names_nobody_is_refused(text: str) -> None:
    """The number of all ones, which leaves the user as it is, and what only looks like a number."""
    with pytest.raises(SystemFailureError, match=r"^unknown user "):
        find_user(text)
    with pytest.raises(SystemFailureError, match=r"^unknown group "):
        find_group(text)


def test_number_need_not_be_in_a_database() -> None:
    """Then it has no group of its own, and no others."""
    assert find_user("54321") == (54321, None)
    assert find_group("54321") == 54321
    assert groups_of(54321, 54321) == []


def test_user_of_the_database_is_found_by_name_and_number() -> None:
    """Both give the same."""
    entry = pwd.getpwuid(os.geteuid())

    assert find_user(entry.pw_name) == (entry.pw_uid, entry.pw_gid)
    assert find_user(str(entry.pw_uid)) == (entry.pw_uid, entry.pw_gid)
    assert entry.pw_gid in groups_of(entry.pw_uid, entry.pw_gid)
