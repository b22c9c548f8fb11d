"""Decisions about people: the later wins, undo brings back, ids are never used again, places decide and not numbers."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facereel.store.library import decisions
from facereel.store.library.database import LIBRARY
from facereel.store.library.decisions import FaceVerdict, Ruling, verdicts
from facereel.store.library.people import LibraryPeople, Member, Rulings
from facereel.store.library.places import Place
from facereel.store.model.errors import OptionError


def video(number: int) -> str:
    return f"{number:064x}"


def place(number: int, sha256: str = video(1)) -> Place:
    return Place(sha256, number * 10, number * 10 + 10, number * 10 + 5, (1.5, 2.0, 30.0, 40.0))


def add_people(people: LibraryPeople, count: int, sha256: str = video(1)) -> list[int]:
    """New people, each with one cluster of a video."""
    ids = [people.add_person() for _ in range(count)]
    people.set_members(
        sha256, [Member(sha256, n + 1, one, one, 2.5, 0.5, place(n, sha256)) for n, one in enumerate(ids)]
    )
    return ids


@pytest.fixture
def people(tmp_path: Path) -> LibraryPeople:
    return LibraryPeople(tmp_path / "store")


def test_a_store_without_people_is_read_and_not_made(people: LibraryPeople, tmp_path: Path) -> None:
    assert people.all() == ()
    assert people.log() == ()
    assert people.unsettled() == ()
    assert people.rulings_of_video(video(1)) == ()
    with pytest.raises(OptionError, match="there is no person 1 in the library; run: facereel people"):
        people.get(1)
    assert not (tmp_path / "store").exists()


def test_a_name_is_found_however_it_is_written(people: LibraryPeople) -> None:
    (one,) = add_people(people, 1)
    people.name(one, "  Joey \t Tribbiani ")
    assert people.get(one).name == "Joey Tribbiani"
    assert [found.id for found in people.by_name("joey  TRIBBIANI")] == [one]
    people.name(one, "Matt")
    assert people.by_name("Joey Tribbiani") == ()
    assert people.get(one).decisions == 2


@pytest.mark.parametrize("name", ["", "  ", "12", "#12", "# 12", "a\x07b", "x" * 201])
def test_what_is_no_name(people: LibraryPeople, name: str) -> None:
    (one,) = add_people(people, 1)
    with pytest.raises(OptionError):
        people.name(one, name)
    assert people.log() == ()


def test_two_people_bear_one_name_only_if_somebody_says_so(people: LibraryPeople) -> None:
    one, two = add_people(people, 2)
    people.name(one, "Anna")
    with pytest.raises(OptionError, match=f"facereel people merge {one} {two}"):
        people.name(two, "ANNA")
    people.name(two, "Anna", another=True)
    assert [found.id for found in people.by_name("anna")] == [one, two]
    people.name(one, "Anna")  # that of oneself is no other's


def test_a_merged_id_leads_to_the_person_it_became(people: LibraryPeople) -> None:
    one, two, three = add_people(people, 3)
    people.name(two, "Ann")
    assert people.merge(one, two)[1] is None
    assert (people.get(two).id, people.get(two).name) == (one, "Ann")
    people.name(three, "Bob")
    _, given_up = people.merge(three, two)
    assert given_up == "Ann"  # `two` is `one`; the first name stays
    assert {people.get(number).id for number in (one, two, three)} == {three}
    assert people.get(one).clusters == 3
    assert [found.id for found in people.all()] == [three]
    assert people.by_name("Ann") == ()
    with pytest.raises(OptionError, match="one person already"):
        people.merge(one, two)
    people.undo()
    assert (people.get(two).id, people.get(two).name, people.get(three).name) == (one, "Ann", "Bob")
    people.undo(2)
    assert people.get(two).id == two
    assert (people.get(one).name, people.get(two).name) == (None, "Ann")


def test_marks_of_videos_that_are_not_here_are_not_worked_off(people: LibraryPeople) -> None:
    (one,) = add_people(people, 1)
    people.accept(one, [place(0), place(0, video(2))])
    assert people.unsettled() == (video(1), video(2))
    assert people.unsettled(indexed=True) == ()


def test_who_became_a_person_is_found_without_reading_everybody(people: LibraryPeople) -> None:
    add_people(people, 1)
    with people.writing() as db:
        plan = [str(row[3]) for row in db.execute(f"EXPLAIN QUERY PLAN {decisions.GROUP}", {"who": 1})]
    assert not [step for step in plan if step.startswith("SCAN")], plan


def test_an_id_is_never_used_again(people: LibraryPeople) -> None:
    one, two = add_people(people, 2)
    people.drop_members(video(1))
    assert people.all() == ()
    assert people.add_person() == two + 1
    assert people.get(one).clusters == 0


def test_places_decide_and_the_later_wins(people: LibraryPeople) -> None:
    one, two = add_people(people, 2)
    people.accept(one, [place(7), place(8)])
    people.reject(one, [place(8)])
    people.accept(two, [place(7)])
    assert people.rulings(one).confirmed == ()
    assert people.rulings(one).rejected == (place(8),)
    assert people.rulings(two).confirmed == (place(7),)
    people.undo(3)
    assert people.rulings(one).confirmed == (place(7),)
    people.undo(2)
    assert people.rulings(one) == Rulings((place(7), place(8)), ())


def test_a_split_makes_a_new_person(people: LibraryPeople) -> None:
    (one,) = add_people(people, 1)
    people.accept(one, [place(7)])
    _, other = people.split(one, [place(7), place(7, video(2))])
    assert other == one + 1
    assert people.rulings(one).confirmed == ()
    assert people.rulings(other).confirmed == (place(7), place(7, video(2)))
    assert people.unsettled() == (video(1), video(2))
    people.undo()
    assert people.rulings(one).confirmed == (place(7),)
    assert people.rulings(other).confirmed == ()
    with pytest.raises(OptionError, match="no face was given"):
        people.split(one, [])


def test_members_follow_decisions_once_they_are_settled(people: LibraryPeople) -> None:
    one, two = add_people(people, 2)
    assert people.unsettled() == ()
    people.name(one, "Ann")  # says nothing of single faces
    assert people.unsettled() == ()
    people.accept(one, [place(3)])
    assert people.unsettled() == (video(1),)
    people.set_members(video(1), people.members_of(video(1)))
    assert people.unsettled() == ()
    people.merge(one, two)  # what was of two people may be of one now
    assert people.unsettled() == (video(1),)


def test_whole_people_leave_anchors_for_another_store(people: LibraryPeople) -> None:
    one, two = add_people(people, 2)
    people.merge(one, two)
    people.name(one, "Ann")
    found = people.rulings_of_video(video(1))
    assert {(ruling.person, ruling.verdict, ruling.place) for ruling in found} == {
        (one, "anchor", place(0)), (one, "merged", place(1)), (one, "anchor", place(1)),
    }  # fmt: skip
    people.undo(1)
    assert {(ruling.person, ruling.place) for ruling in people.rulings_of_video(video(1))} == {
        (one, place(0)), (two, place(1)),
    }  # fmt: skip


def test_an_undo_can_be_undone(people: LibraryPeople) -> None:
    (one,) = add_people(people, 1)
    people.hide(one)
    people.undo()
    assert not people.get(one).hidden
    with pytest.raises(OptionError, match="decision 1 is undone already"):
        people.undo(1)
    people.undo(2)
    assert people.get(one).hidden
    assert [entry.counts for entry in people.log()] == [True, False, True]
    people.show(one)
    assert not people.get(one).hidden
    with pytest.raises(OptionError, match="there is no decision 99"):
        people.undo(99)


def test_the_log_of_one_person_and_its_end(people: LibraryPeople) -> None:
    one, two = add_people(people, 2)
    people.name(one, "Ann")
    people.hide(two)
    people.accept(one, [place(4)])
    assert [entry.kind for entry in people.log(one)] == ["name", "accept"]
    assert [entry.kind for entry in people.log(last=1)] == ["accept"]
    assert people.log(last=1)[0].places == ((one, place(4)),)
    assert len({entry.uid for entry in people.log()}) == 3


def test_a_clock_that_was_set_back_loses_nothing(people: LibraryPeople) -> None:
    (one,) = add_people(people, 1)
    people.name(one, "Ann")
    with people.writing() as db:
        db.execute("UPDATE decisions SET time = '2999-01-01T00:00:00.000000Z'")
    people.name(one, "Bea")
    with people.writing() as db:
        decisions.replay(db)
    assert people.get(one).name == "Bea"


def test_figures_of_people(people: LibraryPeople) -> None:
    one, two = add_people(people, 2)
    people.set_members(video(2), [Member(video(2), 1, two, two, 60.0, 0.5, place(1, video(2)))])
    people.merge(one, two)
    (found,) = people.all()
    assert (found.id, found.clusters, found.videos, found.seconds, found.decisions) == (one, 3, 2, 65.0, 1)
    assert [member.person for member in people.members(two)] == [one, two, two]
    assert {cluster: whose.id for cluster, whose in people.people_of(video(1)).items()} == {1: one, 2: one}
    assert people.person_of(video(9), 1) is None


def ruling(number: int, person: int, verdict: decisions.Verdict) -> tuple[str, Ruling]:
    return "face", Ruling(number, person, verdict, place(1))


def test_what_rulings_say_of_one_face() -> None:
    def summed(*rulings: tuple[str, Ruling]) -> FaceVerdict:
        return verdicts(rulings)["face"]

    accepted, rejected, anchor = (
        ruling(1, 1, "confirmed"), ruling(2, 1, "rejected"), ruling(3, 1, "anchor"),
    )  # fmt: skip
    assert summed(accepted, rejected) == FaceVerdict(None, frozenset({1}), None)
    assert summed(rejected, accepted) == FaceVerdict(1, frozenset(), 1)
    assert summed(rejected, anchor) == FaceVerdict(None, frozenset({1}), None)
    assert summed(ruling(1, 2, "confirmed"), anchor).confirmed == 2
    assert summed(anchor, ruling(4, 2, "rejected")) == FaceVerdict(None, frozenset({2}), 1)


WRITES = st.lists(
    st.tuples(
        st.sampled_from(["name", "merge", "split", "accept", "reject", "hide", "show", "undo"]),
        st.integers(1, 6), st.integers(1, 6), st.integers(1, 40),
    ),
    max_size=25,
)  # fmt: skip


@given(writes=WRITES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_stored_is_what_the_whole_log_says(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[str, int, int, int]]
) -> None:
    people = LibraryPeople(tmp_path_factory.mktemp("log"))
    add_people(people, 4)
    for kind, one, other, number in writes:
        try:
            if kind == "name":
                people.name(one, f"name {other}", another=True)
            elif kind == "merge":
                people.merge(one, other)
            elif kind in ("split", "accept", "reject"):
                getattr(people, kind)(one, [place(number)])
            elif kind == "undo":
                people.undo(number)
            else:
                getattr(people, kind)(one)
        except OptionError:
            continue
    before = tables(people)
    with people.writing() as db:
        decisions.replay(db)
    assert tables(people) == before
    copy = LibraryPeople(tmp_path_factory.mktemp("copy"))
    people.backup(copy_path := tmp_path_factory.mktemp("backup") / "backup.json")
    assert copy.restore(copy_path).added == len(people.log())
    assert said(copy) == said(people)


def said(people: LibraryPeople) -> list[object]:
    """What the log of a library says, whatever it is indexed."""
    return [
        [(one.name, one.hidden, people.rulings(one.id)) for one in people.all() if one.decisions],
        [(entry.uid, entry.counts, [place for _, place in entry.places]) for entry in people.log()],
        [(ruling.verdict, ruling.place) for ruling in people.rulings_of_video(video(1))],
    ]


def tables(people: LibraryPeople) -> dict[str, list[tuple[object, ...]]]:
    with people.writing() as db:
        return {
            name: [tuple(row) for row in db.execute(f"SELECT * FROM {name} ORDER BY 1")]
            for name in ("people", "undone", "decisions", "places")
        }


def test_a_decision_is_whole_or_not_there(people: LibraryPeople, tmp_path: Path) -> None:
    (one,) = add_people(people, 1)

    def interrupted() -> None:
        with people.writing():
            people.accept(one, [place(1)])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert people.log() == ()
    with sqlite3.connect(tmp_path / "store" / LIBRARY) as db:
        assert db.execute("SELECT count(*) FROM places").fetchone() == (0,)


def test_a_merge_that_is_later_than_a_rejection_wins(people: LibraryPeople) -> None:
    joey, other = add_people(people, 2)
    people.reject(joey, [place(1)])
    people.merge(joey, other)
    faces = people.rulings_of_video(video(1))
    assert verdicts((one.place, one) for one in faces)[place(1)] == FaceVerdict(anchor=joey)


@pytest.mark.parametrize("number", [0, -1, 10**30])
def test_a_number_that_nobody_has_is_no_damage(people: LibraryPeople, number: int) -> None:
    add_people(people, 1)
    for call in (people.get, people.undo):
        with pytest.raises(OptionError, match="there is no"):
            call(number)
