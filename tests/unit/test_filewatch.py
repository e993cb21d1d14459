"""Watched files, with real ones: whatever replaces or changes a file is reported, once."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from socketd.loop.filewatch import FileWatch, OwnWatches
from socketd.loop.sources import Sources


class Watched:
    """A loop that watches files, and what it has heard."""

    def __init__(self, sources: Sources) -> None:
        self.heard: list[str] = []
        self._sources = sources
        self._files = FileWatch(sources)
        self.own = OwnWatches(self._files, lambda action: action())

    def add(self, name: str, *paths: Path) -> Callable[[], None]:
        """Watch files; return what ends that."""
        watch = self.own.add(map(str, paths), lambda: self.heard.append(name))
        return lambda: self.own.remove(watch)

    def news(self) -> list[str]:
        """Return what has been heard since the last time; the kernel has queued it by then."""
        self._sources.wait(0)
        heard, self.heard = self.heard, []
        return heard

    def close(self) -> None:
        """End it."""
        self._files.__exit__(None, None, None)


@pytest.fixture
def watched() -> Iterator[Watched]:
    """Return a loop that watches files."""
    with Sources() as sources:
        one = Watched(sources)
        yield one
        one.close()


def replace(path: Path) -> None:
    """Put another file in the place of one, as installers do."""
    other = path.with_name("new")
    other.write_text("new")
    other.replace(path)


CHANGES: dict[str, Callable[[Path], object]] = {
    "replaced": replace,
    "removed": os.unlink,
    "moved": lambda path: path.rename(path.with_name("away")),
    "written": lambda path: path.write_text("other"),
    "forbidden": lambda path: path.chmod(0),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_change_of_a_file_is_heard_once(
    watched: Watched, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    """However much the kernel says of it; what is done to other files is not."""
    path, other = tmp_path / "file", tmp_path / "other"
    path.write_text("")
    other.write_text("")
    watched.add("it", path)
    change(other)
    assert watched.news() == []

    change(path)

    assert watched.news() == ["it"]
    assert watched.news() == []


@pytest.mark.parametrize("is_absolute", [True, False])
def test_link_on_the_way_is_watched(watched: Watched, tmp_path: Path, *, is_absolute: bool) -> None:
    """A new version may lie beside the old one, and only a link be changed."""
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    link, new = tmp_path / "current", tmp_path / "next"
    link.symlink_to(tmp_path / "1" if is_absolute else Path("..") / tmp_path.name / "1")
    new.symlink_to(tmp_path / "2")
    watched.add("it", link / "file")

    new.replace(link)

    assert watched.news() == ["it"]


def test_links_in_a_circle_lead_nowhere(watched: Watched, tmp_path: Path) -> None:
    """They are followed as far as the kernel does."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    watched.add("it", tmp_path / "a")

    (tmp_path / "a").unlink()

    assert watched.news() == ["it"]


def test_file_that_is_not_there_is_waited_for(watched: Watched, tmp_path: Path) -> None:
    """It comes into its folder."""
    watched.add("it", tmp_path / "file")
    assert watched.news() == []

    (tmp_path / "file").write_text("")

    assert watched.news() == ["it"]


def test_what_else_arrives_in_its_folder_is_not_heard(watched: Watched, tmp_path: Path) -> None:
    """Who waits for a file in a busy folder, such as /tmp, hears of that file, however it comes."""
    watched.add("it", tmp_path / "file")
    watched.add("its neighbour", tmp_path / "files")
    (tmp_path / "fil").write_text("")
    (tmp_path / "other").mkdir()
    replace(tmp_path / "fil")
    assert watched.news() == []

    replace(tmp_path / "file")

    assert watched.news() == ["it"]


def test_what_happens_to_files_in_a_watched_folder_is_not_heard(
    watched: Watched, tmp_path: Path
) -> None:
    """Nor if one of them is waited for: who watches a folder watches what stands for it."""
    (tmp_path / "other").write_text("")
    watched.add("folder", tmp_path)
    watched.add("file", tmp_path / "file")
    (tmp_path / "other").write_text("a")
    (tmp_path / "other").chmod(0)
    (tmp_path / "another").write_text("b")
    assert watched.news() == []

    (tmp_path / "file").write_text("")
    assert watched.news() == ["file"]
    tmp_path.rename(tmp_path.with_name("away"))

    assert watched.news() == ["folder"]


def test_two_watches_of_a_file_both_hear(watched: Watched, tmp_path: Path) -> None:
    """The kernel knows them as one; who leaves takes nothing from the other."""
    path = tmp_path / "file"
    path.write_text("")
    leave = watched.add("one", path)
    watched.add("two", path, path)
    path.write_text("a")
    assert sorted(watched.news()) == ["one", "two"]

    leave()
    leave()
    path.write_text("b")

    assert watched.news() == ["two"]


def test_all_watches_of_an_owner_can_go(watched: Watched, tmp_path: Path) -> None:
    """Nothing is heard then, not even of what has happened before."""
    path = tmp_path / "file"
    path.write_text("")
    watched.add("it", path)
    path.write_text("a")

    watched.own.remove_all()

    assert watched.news() == []
