"""Lists of people and videos page by page, and the folders that may be browsed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from facereel.api import Library, OptionError, browse, file_below
from facereel.store.files.locks import video_lock
from facereel.store.index.database import DATABASE
from tests.factories import make_contents, make_video, write_index


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """Videos a.mp4, b.mp4 and c.mp4, of which only b.mp4 is where it was."""
    store = tmp_path / "store"
    for name in ("c", "a", "b"):
        write_index(store, make_contents(video=make_video(str(tmp_path / f"{name}.mp4"), content=name)))
    (tmp_path / "b.mp4").write_bytes(b"x" * make_video("b.mp4").size)
    return Library(store)


def test_videos_are_listed_by_name_page_by_page(library: Library) -> None:
    first, second = (library.page_of_videos(offset=offset, most=2) for offset in (0, 2))
    assert [one.video for one in (*first.videos, *second.videos)] == ["a.mp4", "b.mp4", "c.mp4"]
    assert (first.total, second.offset) == (3, 2)
    assert [one.state for one in first.videos] == ["missing", "indexed"]
    assert {one.people for one in first.videos} == {len(library.people.all())}
    assert [one.video for one in library.page_of_videos("B").videos] == ["b.mp4"]
    assert library.page_of_videos("nothing").total == 0


def test_a_video_that_changed_and_a_damaged_index_are_said(library: Library, tmp_path: Path) -> None:
    (tmp_path / "b.mp4").write_bytes(b"shorter")
    broken = next(library.store.glob("c.mp4-*"))
    (broken / DATABASE).write_bytes(b"no database" * 1000)
    states = {one.video: one.state for one in library.page_of_videos().videos}
    assert states == {broken.name: "damaged", "a.mp4": "missing", "b.mp4": "changed"}
    (damaged,) = library.page_of_videos(most=1).videos
    assert "is damaged" in damaged.problem


def test_a_video_that_is_indexed_anew_says_so(library: Library) -> None:
    (entry,) = library.page_of_videos("b.mp4").videos
    with video_lock(library.store, make_video("b.mp4", content="b").sha256, lambda: None):
        assert [one.state for one in library.page_of_videos().videos] == ["missing", "indexing", "missing"]
    assert library.page_of_videos("b.mp4").videos == (entry,)


def test_people_are_listed_page_by_page_named_first(library: Library) -> None:
    people = library.people
    everybody = people.all()
    last = everybody[-1].id
    people.name(str(last), "Zoë")
    page = people.page(most=1)
    assert ([one.name for one in page.people], page.total) == (["Zoë"], len(everybody))
    assert (page.unnamed, page.hidden) == (len(everybody) - 1, 0)
    assert people.page(named=False).total == len(everybody) - 1
    assert (people.page(search="zO").unnamed, people.names(), people.names(0)) == (0, ("Zoë",), ())
    assert [one.id for one in people.page(search="zO").people] == [last]
    assert [one.id for one in people.page(search=str(last)).people] == [last]
    people.hide(str(last))
    assert (people.page(named=True).total, people.page(named=True).hidden, people.names()) == (0, 1, ())
    assert [one.id for one in people.page(hidden=True).people] == [last]


def test_the_first_people_and_videos_are_those_of_the_whole_lists(library: Library) -> None:
    people = library.people
    name_less = people.all()
    people.name(str(name_less[-1].id), "Zoë")
    people.hide(str(name_less[0].id))
    expected = sorted(people.all(), key=lambda one: (one.name is None, -one.seconds, one.id))
    assert people.most_shown(100) == tuple(expected)
    assert people.most_shown(1) == tuple(expected[:1])
    listed = [(one.folder, one.video) for one in library.page_of_videos().videos]
    assert library.video_names(100) == tuple(listed)
    assert library.video_names(2) == tuple(listed[:2])


def test_folders_are_browsed_below_the_root_alone(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "films" / "deep").mkdir(parents=True)
    outside.mkdir()
    (root / "films" / "a.mp4").write_bytes(b"12345")
    (root / "films" / "notes.txt").write_bytes(b"")
    (outside / "secret.mp4").write_bytes(b"")
    links = {root / "away": outside, root / "films" / "secret.mp4": outside / "secret.mp4"}
    for link, target in links.items():
        os.symlink(target, link)
    assert browse(root).folders == ("films",)
    films = browse(root, "films")
    assert (films.path, films.parent, films.folders, films.videos) == (
        "films", "", ("deep",), (("a.mp4", 5),)
    )  # fmt: skip
    assert file_below(root, str(root / "films" / "a.mp4")) == (root / "films" / "a.mp4").resolve()
    for name in ("..", "away", "films/secret.mp4", str(outside), "films/../../outside", "a\0b"):
        with pytest.raises(OptionError, match="--root"):
            file_below(root, name)
    with pytest.raises(OptionError):
        browse(root, "films/a.mp4")
