"""Backup, restore and forget: nothing doubled, nothing lost, and nothing of a forgotten person anywhere."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facereel.store.library.backup import Restored
from facereel.store.library.database import LIBRARY
from facereel.store.library.people import LibraryPeople, Member, Rulings
from facereel.store.model.errors import OptionError, ResultExistsError
from tests.test_library_people import add_people, place, video


@pytest.fixture
def people(tmp_path: Path) -> LibraryPeople:
    return LibraryPeople(tmp_path / "store")


@pytest.fixture
def other(tmp_path: Path) -> LibraryPeople:
    """A library beside the first one."""
    return LibraryPeople(tmp_path / "other")


def decide(people: LibraryPeople) -> tuple[int, int, int]:
    """Every kind of decision but `forget`, about three people of whom two are one."""
    one, two, three = add_people(people, 3)
    people.name(one, "Ann Example")
    people.name(three, "Bob")
    people.merge(one, two)
    people.accept(one, [place(10), place(11, video(2))])
    people.reject(one, [place(12)])
    people.hide(three)
    people.undo()
    people.split(one, [place(13)])
    people.show(three)
    return one, two, three


def meaning(people: LibraryPeople) -> list[tuple[object, ...]]:
    """What decisions say, without numbers of decisions."""
    found: list[tuple[object, ...]] = [
        (one.id, one.name, one.hidden, people.rulings(one.id)) for one in people.all()
    ]
    return [*found, *((entry.uid, entry.kind, entry.counts, entry.places) for entry in people.log())]


def test_a_backup_brings_everything_back(people: LibraryPeople, other: LibraryPeople, tmp_path: Path) -> None:
    decide(people)
    path = tmp_path / "backup.json"
    assert people.backup(path) == 9
    assert json.loads(path.read_text())["schema"] == "facereel.decisions/1"
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert other.restore(path) == Restored(9, 0, 0, {}, ())
    people.drop_members(video(1))
    assert meaning(other) == meaning(people)
    assert other.unsettled() == (video(1), video(2))
    assert other.restore(path) == Restored(0, 9, 0, {}, ())
    assert people.restore(path) == Restored(0, 9, 0, {}, ())
    assert meaning(other) == meaning(people)
    with pytest.raises(ResultExistsError, match="is there already"):
        people.backup(path)


def test_a_used_library_keeps_its_own_decisions(
    people: LibraryPeople, other: LibraryPeople, tmp_path: Path
) -> None:
    one, two, three = decide(people)
    people.backup(tmp_path / "old.json")
    people.name(one, "Anna")
    assert people.restore(tmp_path / "old.json").added == 0
    assert people.get(one).name == "Anna"
    add_people(other, 2)
    other.name(1, "Carl")
    restored = other.restore(tmp_path / "old.json")
    assert restored.renumbered == {one: 3, two: 4, three: 5, 4: 6}
    assert [(found.id, found.name) for found in other.all()] == [
        (1, "Carl"), (2, None), (3, "Ann Example"), (5, "Bob"), (6, None),
    ]  # fmt: skip
    # A decision here that was made before the restored ones still comes before them, and one after them after.
    other.name(3, "Anne")
    other.backup(tmp_path / "new.json")
    people.restore(tmp_path / "new.json")
    assert people.get(one).name == "Anne"


def test_a_decision_that_is_restored_does_not_win_because_it_comes_late(
    people: LibraryPeople, other: LibraryPeople, tmp_path: Path
) -> None:
    (one,) = add_people(people, 1)
    people.name(one, "first")
    people.backup(tmp_path / "1.json")
    other.restore(tmp_path / "1.json")
    other.name(one, "second")
    people.name(one, "third")
    other.backup(tmp_path / "2.json")
    people.restore(tmp_path / "2.json")
    assert people.get(one).name == "third"


def test_nothing_of_a_forgotten_person_stays(people: LibraryPeople, tmp_path: Path) -> None:
    one, two, three = decide(people)
    split_off = people.all()[-1].id
    people.backup(tmp_path / "before.json")
    with people.writing() as db:
        db.execute("INSERT INTO questions (time, person, other) VALUES ('', ?, ?)", (three, one))
    file = tmp_path / "store" / LIBRARY
    assert b"Ann Example" in file.read_bytes()
    assert video(2).encode() in file.read_bytes()
    assert people.forget(two) == (one, two)
    assert b"Ann Example" not in everything(tmp_path / "store")
    assert video(2).encode() not in everything(tmp_path / "store")
    for number in (one, two):
        with pytest.raises(OptionError, match=f"person {number} was forgotten"):
            people.get(number)
        assert people.log(number)[-1].kind == "forget"
        assert people.log(number)[-1].places == ()
    assert {found.id: found.name for found in people.all()} == {three: "Bob", split_off: None}
    # Who was split off keeps the face; who has nothing to do with it keeps everything.
    assert people.rulings(split_off) == Rulings((place(13),), ())
    assert [entry.kind for entry in people.log(three)] == ["name", "hide", "undo", "show"]
    assert [member.person for member in people.members_of(video(1))] == [three]
    assert people.forget(two) == (two,)
    with pytest.raises(OptionError, match="nothing is left"):
        people.undo(people.log(two)[-1].number)
    assert people.restore(tmp_path / "before.json").added == 0
    assert b"Ann Example" not in everything(tmp_path / "store")
    assert people.add_person() == split_off + 1


def everything(store: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(store.iterdir()))


def test_a_split_that_was_undone_stays_undone_when_the_person_is_forgotten(people: LibraryPeople) -> None:
    (one,) = add_people(people, 1)
    _, other = people.split(one, [place(1)])
    people.undo()
    people.name(other, "Eve")
    people.forget(one)
    assert people.rulings(other) == Rulings((), ())
    assert people.get(other).name == "Eve"


def test_somebody_split_off_a_forgotten_person_belongs_to_nobody_else_by_similarity(
    people: LibraryPeople,
) -> None:
    one, two = add_people(people, 2)
    people.set_members(video(1), [Member(video(1), 1, two, one, 1.0, 0.5, place(0))])
    people.forget(one)
    (member,) = people.members_of(video(1))
    assert (member.person, member.by_similarity) == (two, two)


def test_a_backup_of_before_does_not_bring_a_forgotten_person_back(
    people: LibraryPeople, other: LibraryPeople, tmp_path: Path
) -> None:
    one, _, three = decide(people)
    people.backup(tmp_path / "before.json")
    people.forget(one)
    people.backup(tmp_path / "after.json")
    assert "Ann" not in (tmp_path / "after.json").read_text()
    other.restore(tmp_path / "after.json")
    assert [found.id for found in other.all()] == [three, 4]
    with pytest.raises(OptionError, match="was forgotten"):
        other.get(one)
    restored = other.restore(tmp_path / "before.json")
    assert (restored.added, restored.known) == (0, 5)  # of Bob and of the one split off
    assert restored.forgotten == 4
    with pytest.raises(OptionError, match="was forgotten"):
        other.get(one)


def test_a_backup_does_not_forget_somebody_who_is_known_here(
    people: LibraryPeople, other: LibraryPeople, tmp_path: Path
) -> None:
    one, _, _ = decide(people)
    people.backup(tmp_path / "before.json")
    other.restore(tmp_path / "before.json")
    people.forget(one)
    people.backup(tmp_path / "after.json")
    assert other.restore(tmp_path / "after.json").not_forgotten == (1, 2)
    assert other.get(one).name == "Ann Example"


def changed(change: Callable[[Any], object]) -> Callable[[Any], str]:
    def write(document: Any) -> str:
        change(document)
        return json.dumps(document)

    return write


HOSTILE: dict[str, Callable[[Any], str]] = {
    "empty": lambda document: "",
    "not JSON": lambda document: "{",
    "no object": lambda document: "[1]",
    "deep": lambda document: "[" * 100_000,
    "long number": lambda document: "1" * 100_000,
    "NaN": lambda document: json.dumps(document).replace("30.0", "NaN"),
    "huge": lambda document: json.dumps(document).replace("30.0", "1e999"),
    "schema": changed(lambda d: d.update(schema="facereel.clips/2")),
    "newer schema": changed(lambda d: d.update(schema="facereel.decisions/2")),
    "schema is no text": changed(lambda d: d.update(schema=1)),
    "no people": changed(lambda d: d.pop("people")),
    "people is no list": changed(lambda d: d.update(people={"a": 1})),
    "person twice": changed(lambda d: d["people"].append(d["people"][0])),
    "person without id": changed(lambda d: d["people"][0].pop("id")),
    "id is true": changed(lambda d: d["people"][0].update(id=True)),
    "id is negative": changed(lambda d: d["people"][0].update(id=-1)),
    "decision twice": changed(lambda d: d["decisions"].append(d["decisions"][0])),
    "decision is no object": changed(lambda d: d["decisions"].append("name")),
    "unknown kind": changed(lambda d: d["decisions"][0].update(kind="drop")),
    "unknown person": changed(lambda d: d["decisions"][0].update(person="0" * 32)),
    "uid": changed(lambda d: d["decisions"][0].update(uid="'; DROP TABLE people")),
    "time": changed(lambda d: d["decisions"][0].update(time="yesterday")),
    "no time left": changed(lambda d: d["decisions"][0].update(time="9999-12-31T23:59:59.999999Z")),
    "no name": changed(lambda d: d["decisions"][0].pop("name")),
    "name is a list": changed(lambda d: d["decisions"][0].update(name=["Ann"])),
    "name with an escape": changed(lambda d: d["decisions"][0].update(name="Ann\x1b[2J")),
    "name is long": changed(lambda d: d["decisions"][0].update(name="A" * 10_000)),
    "merge with oneself": changed(lambda d: d["decisions"][2].update(other=d["decisions"][2]["person"])),
    "undoes itself": changed(lambda d: d["decisions"][6].update(undoes=d["decisions"][6]["uid"])),
    "undoes a later one": changed(lambda d: d["decisions"][6].update(undoes=d["decisions"][8]["uid"])),
    "face of somebody else": changed(
        lambda d: d["decisions"][3]["places"][0].update(person=d["people"][2]["uid"])
    ),
    "video": changed(lambda d: d["decisions"][3]["places"][0].update(sha256="../../etc/passwd")),
    "frame": changed(lambda d: d["decisions"][3]["places"][0].update(frame=5)),
    "frames": changed(lambda d: d["decisions"][3]["places"][0].update(end_frame=1 << 70)),
    "box": changed(lambda d: d["decisions"][3]["places"][0].update(box=[1, 2, 3])),
    "box without width": changed(lambda d: d["decisions"][3]["places"][0].update(box=[1, 2, 0, 3])),
    "box of words": changed(lambda d: d["decisions"][3]["places"][0].update(box=["a", 2, None, 3])),
    "large id": changed(lambda d: d["people"][0].update(id=int("9" * 30))),
    "month": changed(lambda d: d["decisions"][0].update(time="2026-13-01T00:00:00.000000Z")),
    "null": lambda d: "null",
    "number for a person": changed(lambda d: d["people"].append(7)),
    "number for a decision": changed(lambda d: d["decisions"].append(7)),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_file_that_is_no_backup_changes_nothing(
    people: LibraryPeople, other: LibraryPeople, tmp_path: Path, case: str
) -> None:
    decide(people)
    path = tmp_path / "backup.json"
    people.backup(path)
    path.write_text(HOSTILE[case](json.loads(path.read_text())))
    with pytest.raises(OptionError, match="is no backup of decisions") as raised:
        other.restore(path)
    message = str(raised.value)
    assert "\n" not in message
    assert message.isprintable()
    assert len(message) < 500
    for word in (
        "object is not",
        "argument",
        "recursion",
        "codec",
        "Expecting",
        "convert",
        "NoneType",
        "must be",
    ):
        assert word not in message, "what Python says"
    assert not (tmp_path / "other").exists()


def test_a_backup_that_cannot_be_read(people: LibraryPeople, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"none\.json cannot be read: No such file"):
        people.restore(tmp_path / "none.json")
    (tmp_path / "bytes.json").write_bytes(os.urandom(1000))
    with pytest.raises(OptionError, match="is no backup"):
        people.restore(tmp_path / "bytes.json")
