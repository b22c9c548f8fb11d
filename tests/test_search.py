"""Who is asked, which indexes are searched, and what comes of it: without the command line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from facereel.query.clips import render
from facereel.query.clips.plan import ClipOptions
from facereel.query.people import photos as asked
from facereel.query.records import PersonQuery
from facereel.query.search import search
from facereel.query.search.scope import not_indexed, scope_of
from facereel.store.files.folders import index_folders
from facereel.store.files.names import result_name
from facereel.store.library.catalogue import Catalogue
from facereel.store.model.errors import EngineMismatchError, NotIndexedError, OptionError, PhotoError
from tests.factories import make_criterion
from tests.fake_engine import FakeEngine, write_photo


def read(*paths: Path) -> list[PersonQuery]:
    return asked.read_people(asked.group_photos(paths), FakeEngine())


def test_photos_are_one_person_named_by_the_first(photos: Path) -> None:
    (person,) = asked.group_photos([photos / "red.png", photos / "green.png"])
    assert (person.name, len(person.paths)) == ("red", 2)


def test_folders_nest_and_hidden_files_do_not_count(tmp_path: Path) -> None:
    for place in ("a/anna", "b/bert"):
        write_photo(tmp_path / place / "1.png", "red")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "a" / "anna" / "readme.txt").write_text("no photo")
    (tmp_path / "a" / "anna" / ".thumb.png").write_text("no photo")
    people = asked.group_photos([tmp_path])
    assert [(person.name, len(person.paths)) for person in people] == [("anna", 1), ("bert", 1)]


def test_two_people_of_one_name_are_refused(tmp_path: Path) -> None:
    for place in ("a/anna", "b/anna"):
        write_photo(tmp_path / place / "1.png", "red")
    with pytest.raises(OptionError, match="two folders of photos are called anna"):
        asked.group_photos([tmp_path])


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("anna", "anna"), ("Ольга 李", "Ольга 李"), ("-x", "_x"), ("a/b\nc", "a_b_c"), ("..", "person"),
        ("", "person"), (" a. ", "a"), ("é" * 90, "é" * 50), ("\udcff", "person"),
        ("😀", "person"), ("A😀", "A_"), ("_", "_"),
    ],
)  # fmt: skip
def test_a_name_becomes_a_folders(text: str, name: str) -> None:
    assert result_name(text, "person") == name
    assert result_name(name, "person") == name


def test_a_photo_nobody_is_in_stops_the_question(photos: Path) -> None:
    with pytest.raises(PhotoError, match=r"no face found in .*nobody\.png"):
        read(photos / "nobody.png")


def test_matches_come_with_their_sightings_and_evidence(film_store: Path, photos: Path) -> None:
    where = scope_of(Catalogue(film_store), [], FakeEngine().info)
    red, green, blue = search.search(
        [*read(photos / "red.png"), *read(photos / "green.png"), *read(photos / "blue.png")],
        where,
        make_criterion(),
    )
    assert [(match.tracklet.start, match.tracklet.end) for match, _ in red.matches] == [(0, 30), (30, 60)]
    assert [(match.tracklet.start, match.tracklet.end) for match, _ in green.matches] == [(30, 60)]
    for match, sightings in red.matches:
        assert len(sightings) == match.tracklet.end - match.tracklet.start
        assert match.similarity > 0.9
        assert match.explanation
    assert blue.matches == ()
    assert blue.times == {}


def test_several_indexes_are_searched_in_one_go(store: Path, film: Path, photos: Path) -> None:
    (folder,) = index_folders(store)
    second = store / "copy.mp4-0123456789ab"
    shutil.copytree(folder, second)
    where = scope_of(Catalogue(store), [], FakeEngine().info)
    assert [place.name for place, _ in where.searched] == [second.name, folder.name]
    (red,) = search.search(read(photos / "red.png"), where, make_criterion())
    assert len(red.matches) == 4


@pytest.mark.parametrize("threshold", [0.0, 1.0, -1.0, float("nan")])
def test_a_threshold_lies_between_0_and_1(film_store: Path, photos: Path, threshold: float) -> None:
    where = scope_of(Catalogue(film_store), [], FakeEngine().info)
    with pytest.raises(OptionError, match="threshold"):
        search.search(read(photos / "red.png"), where, make_criterion(threshold))


def test_the_scope_refuses_what_it_cannot_search(film_store: Path, tmp_path: Path) -> None:
    library, info = Catalogue(film_store), FakeEngine().info
    with pytest.raises(EngineMismatchError, match="add --engine fake"):
        scope_of(library, [], FakeEngine("other").info)
    with pytest.raises(EngineMismatchError, match="with other weights"):
        scope_of(library, ["two.mp4"], FakeEngine("fake", "salt").info)
    with pytest.raises(
        NotIndexedError, match=r'no video "three\.mp4" in the library; did you mean two\.mp4\?'
    ):
        scope_of(library, ["three.mp4"], info)
    with pytest.raises(NotIndexedError, match="holds no index"):
        scope_of(Catalogue(tmp_path / "none"), [], info)


def test_a_moved_video_is_cut_from_where_it_lies(store: Path, film: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copy(film, tmp_path / "moved.mp4"))
    ((_, video),) = scope_of(Catalogue(store), [moved], FakeEngine().info).searched
    assert video.path == str(moved.resolve())


def test_a_file_that_is_not_indexed_is_distinguished_from_one_that_is_not_there(
    film_store: Path, film: Path, photos: Path
) -> None:
    library = Catalogue(film_store)
    assert not_indexed(library, [film, "two.mp4"]) == []
    other = photos / "red.png"
    assert not_indexed(library, [other]) == [other]
    with pytest.raises(NotIndexedError, match=r"gone\.mp4"):
        not_indexed(library, ["gone.mp4"])


def test_rendering_without_clips_writes_nothing(film_store: Path, photos: Path, tmp_path: Path) -> None:
    info = FakeEngine().info
    where = scope_of(Catalogue(film_store), [], info)
    (red,) = search.search(read(photos / "red.png"), where, make_criterion())
    result = render.render(red, ClipOptions(min_duration=9), tmp_path / "out" / "red")
    assert (result.clips, result.too_short, result.folder) == ((), 2, None)
    assert not (tmp_path / "out").exists()


def test_names_are_for_one_person(photos: Path) -> None:
    people = [asked.PersonPhotos(name, (photos / "red.png",), True) for name in ("a", "b")]
    assert render.result_folders(people, Path("out"), None) == [Path("out/a"), Path("out/b")]
    assert render.result_folders(people[:1], Path("out"), "c") == [Path("out/c")]
    with pytest.raises(OptionError, match="is for one person"):
        render.result_folders(people, Path("out"), "c")
