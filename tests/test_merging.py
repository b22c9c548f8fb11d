"""Two stores become one: the same people and answers as of one store, and nothing of what was decided is lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from facereel.api import Library
from facereel.indexer.media.video import probe
from facereel.indexer.pipeline import index_video
from facereel.query.library.merging import Merged
from facereel.store.files.digest import hash_file
from facereel.store.files.folders import index_folders
from facereel.store.files.locks import video_lock
from facereel.store.index.database import DATABASE
from facereel.store.index.install import install_index
from facereel.store.index.verify import check_index
from facereel.store.library.catalogue import Catalogue
from facereel.store.library.database import LIBRARY
from facereel.store.model.config import Config
from facereel.store.model.errors import DamagedLibraryError, OptionError
from tests.fake_engine import FakeEngine, film_of_two
from tests.program import Run
from tests.test_joining import Face, index, look

ANNA, BERT, CARL = look(0), look(90), look(90, axis=2)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return tmp_path / "here"


@pytest.fixture
def there(tmp_path: Path) -> Path:
    return tmp_path / "there"


def merge(here: Path, there: Path) -> Merged:
    before = content(there)
    merged = Library(here).merge(there)
    assert content(there) == before, "the other store is only read"
    return merged


def content(store: Path) -> dict[str, bytes]:
    return {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("*") if path.is_file()}


def who(store: Path) -> set[tuple[str | None, frozenset[tuple[str, int]]]]:
    """Everybody by name and clusters, whatever their ids."""
    people = Catalogue(store).people
    return {
        (one.name, frozenset((member.sha256, member.cluster) for member in people.members(one.id)))
        for one in people.all()
    }


def name(store: Path, face: str, name: str) -> None:
    Library(store).people.name(face, name)


def abouts(merged: Merged) -> list[str]:
    return [conflict.about for conflict in merged.conflicts]


def test_three_parts_have_the_people_and_answers_of_one_store(tmp_path: Path, photos: Path) -> None:
    films = [film_of_two(tmp_path / f"{n}.mp4", seconds=0.5 + 0.1 * n) for n in range(3)]
    one, parts = tmp_path / "one", [tmp_path / f"part{n}" for n in range(3)]
    for number, film in enumerate(films):
        for store in (one, parts[number]):
            folder = index_video(
                probe(film), hash_file(film), store, FakeEngine(), Config(), lambda done, total: None
            )
            Catalogue(store).refresh([folder])
    for store in (one, *parts):
        red = Library(store, engine="fake").people.find(f"{index_folders(store)[0].name}#1")
        Library(store).people.name(str(red.id), "Red")
    for part in parts[1:]:
        (united,) = merge(parts[0], part).united
        assert united.person.name == "Red"
    assert who(parts[0]) == who(one)
    assert len(who(one)) == 2
    answers = []
    for store in (one, parts[0]):
        library = Library(store, engine="fake")
        asked = [
            library.find_many(library.read_persons("Red")).answers[0],
            library.find(photos / "green.png"),
        ]
        answers.append(
            [
                [
                    (m.video, m.start_frame, m.end_frame, m.similarity, m.certainty, m.matched)
                    for m in answer.matches
                ]
                for answer in asked
            ]
        )
    assert answers[0] == answers[1]
    assert [len(found) for found in answers[0]] == [6, 3]


def test_merging_again_changes_nothing(here: Path, there: Path) -> None:
    index(here, "a", Face(ANNA, 1), Face(BERT, 2))
    index(there, "b", Face(ANNA, 1), Face(CARL, 2))
    name(there, "b.mp4#1", "Anna")
    first = merge(here, there)
    assert [folder.parent for folder in first.added] == [here]
    assert first.decisions.added == 1
    assert {len(clusters) for named, clusters in who(here) if named == "Anna"} == {2}, (
        "the one here is Anna too"
    )
    before = who(here)
    again = merge(here, there)
    assert (again.added, again.known, again.decisions.added, again.conflicts) == ((), 1, 0, ())
    assert who(here) == before
    assert all(not check_index(folder, lambda video: None).problems for folder in index_folders(here))


def test_people_of_one_name_who_do_not_resemble_each_other_stay_two(here: Path, there: Path) -> None:
    index(here, "a", Face(ANNA, 1))
    index(there, "b", Face(BERT, 1))
    name(here, "a.mp4#1", "Kim")
    name(there, "b.mp4#1", "kim")
    merged = merge(here, there)
    assert merged.united == ()
    assert abouts(merged) == ["people"]
    first, second = merged.conflicts[0].persons
    assert f"facereel people merge {first} {second}" in merged.conflicts[0].text
    assert sorted(len(clusters) for _, clusters in who(here)) == [1, 1]


def test_people_who_resemble_each_other_and_have_two_names_stay_two(here: Path, there: Path) -> None:
    index(here, "a", Face(ANNA, 1))
    index(there, "b", Face(ANNA, 1))
    name(here, "a.mp4#1", "Ann")
    name(there, "b.mp4#1", "Mary")
    merged = merge(here, there)
    assert merged.united == ()
    assert abouts(merged) == ["people"]
    assert "resemble each other" in merged.conflicts[0].text
    assert {named for named, _ in who(here)} == {"Ann", "Mary"}


def test_a_union_that_was_undone_is_not_made_again(here: Path, there: Path) -> None:
    index(here, "a", Face(ANNA, 1))
    index(there, "b", Face(ANNA, 1))
    name(here, "a.mp4#1", "Ann")
    name(there, "b.mp4#1", "Ann")
    (united,) = merge(here, there).united
    Library(here).people.undo(united.decision)
    assert len(who(here)) == 2
    index(there, "c", Face(ANNA, 1))
    Library(there).people.accept("Ann", ["c.mp4#1"])
    merged = merge(here, there)
    assert merged.decisions.added == 1
    assert merged.united == ()
    assert len(who(here)) == 2


def test_a_video_in_both_keeps_its_index_here_and_what_contradicts_is_listed(here: Path, there: Path) -> None:
    own = index(here, "a", Face(ANNA, 1), Face(BERT, 2, start=40))
    shutil.copytree(here, there)
    index(there, "a", Face(ANNA, 1), Face(BERT, 2, start=41))
    name(here, "a.mp4#1", "Ann")
    name(there, "a.mp4#1", "Mary")
    before = (own / DATABASE).read_bytes()
    merged = merge(here, there)
    assert abouts(merged) == ["video", "face"] or abouts(merged) == ["video", "name"]
    assert (own / DATABASE).read_bytes() == before
    assert "a.mp4" in merged.conflicts[0].text
    assert "the later decision counts" in merged.conflicts[1].text
    assert "Mary" in merged.conflicts[1].text.partition("counts:")[2]
    assert "Mary" in {named for named, _ in who(here)}


def test_faces_that_are_somebody_else_in_both_are_listed(here: Path, there: Path) -> None:
    index(here, "a", Face(ANNA, 1), Face(BERT, 2))
    index(there, "a", Face(ANNA, 1), Face(BERT, 2))
    for store, person in ((here, "Ann"), (there, "Mary")):
        name(store, "a.mp4#1", person)
        Library(store).people.accept(person, ["a.mp4#t2"])
    merged = merge(here, there)
    texts = [conflict.text for conflict in merged.conflicts if conflict.about == "face"]
    assert texts == ["a.mp4#t1, a.mp4#t2: Ann here, Mary there; the later decision counts: Mary"]


def test_who_was_forgotten_here_does_not_come_back(here: Path, there: Path) -> None:
    index(here, "a", Face(ANNA, 1))
    name(here, "a.mp4#1", "Ann")
    shutil.copytree(here, there)
    people = Library(here).people
    people.erase(people.find("Ann").id)
    merged = merge(here, there)
    assert merged.decisions.forgotten == 1
    assert b"Ann" not in (here / LIBRARY).read_bytes()


def test_what_is_no_other_store_is_refused(here: Path, tmp_path: Path) -> None:
    index(here, "a", Face(ANNA, 1))
    (tmp_path / "empty").mkdir()
    for other in (here, tmp_path / "gone", tmp_path / "empty", here / LIBRARY):
        with pytest.raises(OptionError, match="name"):
            Library(here).merge(other)


@pytest.mark.parametrize(
    "harm", ["noise", "torn", "empty", "rows", "pipe", "newer", "older", "trigger", "view"]
)
def test_a_damaged_index_is_left_out_and_named(here: Path, there: Path, harm: str) -> None:
    index(here, "a", Face(ANNA, 1))
    folder, _ = index(there, "b", Face(ANNA, 1)), index(there, "c", Face(BERT, 1))
    path = folder / DATABASE
    whole = path.read_bytes()
    if harm == "noise":
        path.write_bytes(whole[:9000] + os.urandom(3000) + whole[12000:])
    elif harm == "torn":
        path.write_bytes(whole[: len(whole) // 2])
    elif harm == "empty":
        path.write_bytes(b"")
    elif harm == "pipe":
        if not hasattr(os, "mkfifo"):
            pytest.skip("this system has no pipes with names")
        path.unlink()
        os.mkfifo(path)
    else:
        statement = {
            "newer": "PRAGMA user_version = 99",
            "older": "PRAGMA user_version = 3",
            "rows": "UPDATE tracklets SET end_frame = 100000",
            # It would keep the faces that `forget` deletes.
            "trigger": "CREATE TRIGGER keep BEFORE DELETE ON tracklets BEGIN SELECT RAISE(IGNORE); END",
            "view": "ALTER TABLE shots RENAME TO cuts; CREATE VIEW shots AS SELECT * FROM cuts",
        }[harm]
        with closing(sqlite3.connect(path)) as db, db:
            db.executescript(statement)
    merged = Library(here).merge(there)
    ((failed, error),) = merged.failed
    assert failed == folder
    assert str(there) in str(error)
    assert ".facereel-tmp" not in str(error)
    assert [one.name.partition("-")[0] for one in index_folders(here)] == ["a.mp4", "c.mp4"]
    assert not [path for path in here.iterdir() if path.name.startswith(".facereel")]


def test_a_damaged_library_is_refused_before_anything_is_merged(here: Path, there: Path) -> None:
    index(here, "a", Face(ANNA, 1))
    index(there, "b", Face(ANNA, 1))
    name(there, "b.mp4#1", "Ann")
    whole = (there / LIBRARY).read_bytes()
    for harm in ("torn", "trigger", "value"):
        (there / LIBRARY).write_bytes(whole)
        if harm == "torn":
            (there / LIBRARY).write_bytes(whole[:5000])
        else:
            statement = (
                "CREATE TRIGGER t AFTER INSERT ON decisions BEGIN SELECT 1; END" if harm == "trigger"
                else "UPDATE places SET x = 'left'"
            )  # fmt: skip
            with closing(sqlite3.connect(there / LIBRARY)) as db, db:
                db.execute(statement)
        with pytest.raises(DamagedLibraryError, match="nothing was merged") as raised:
            Library(here).merge(there)
        assert ".facereel-tmp" not in str(raised.value)
        assert len(index_folders(here)) == 1
        assert {named for named, _ in who(here)} == {None}


def test_what_only_pretends_to_be_the_same_video_replaces_nothing(here: Path, there: Path) -> None:
    """Its name ends with the same digits, and the rest of the hash that it claims is another."""
    own = index(here, "a", Face(ANNA, 1))
    shutil.copytree(here, there)
    (folder,) = index_folders(there)
    with closing(sqlite3.connect(folder / DATABASE)) as db, db:
        db.execute("UPDATE video SET sha256 = substr(sha256, 1, 12) || ?", ["0" * 52])
    before = content(own)
    assert abouts(Library(here).merge(there)) == ["video"]
    assert content(own) == before


def test_a_damaged_index_here_is_replaced(here: Path, there: Path) -> None:
    own = index(here, "a", Face(ANNA, 1))
    shutil.copytree(here, there)
    (own / DATABASE).write_bytes(b"torn")
    assert Library(here).merge(there).added == (own,)
    assert not check_index(own, lambda video: None).problems


def test_what_was_interrupted_is_finished(here: Path, there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index(here, "a", Face(ANNA, 1))
    for video in "bcd":
        index(there, video, Face(ANNA, 1))
    name(there, "b.mp4#1", "Ann")
    calls: list[Path] = []

    def stop(source: Path, store: Path) -> Path | None:
        calls.append(source)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return install_index(source, store)

    monkeypatch.setattr("facereel.query.library.merging.install_index", stop)
    with pytest.raises(KeyboardInterrupt):
        Library(here).merge(there)
    assert len(index_folders(here)) == 2
    merged = merge(here, there)
    assert (len(merged.added), merged.known) == (2, 1)
    assert {named for named, _ in who(here)} == {"Ann"}


def test_a_video_that_is_being_indexed_here_is_left_out(here: Path, there: Path) -> None:
    index(here, "a", Face(ANNA, 1))
    folder = index(there, "b", Face(ANNA, 1))
    with video_lock(here, Catalogue(there).all()[0].video.sha256, lambda: None):
        ((failed, error),) = Library(here).merge(there).failed
    assert failed == folder
    assert "being indexed by another process" in str(error)


def test_the_command_lists_what_was_done(here: Path, there: Path, run: Run) -> None:
    index(here, "a", Face(ANNA, 1))
    index(there, "b", Face(BERT, 1))
    for store, face in ((here, "a.mp4#1"), (there, "b.mp4#1")):
        name(store, face, "Kim")
    result = run("library", "merge", there, "--store", here)
    assert result.exit_code == 0
    assert result.stdout.startswith(
        f"1 index added of {there}, 0 the same here\n1 decision added, 0 known before\n"
    )
    assert result.stderr.startswith('warning: two people are named "Kim", person ')
    assert f"people merge --store {here} " in result.stderr
    assert run("library", "merge", here, "--store", here).exit_code == 1
