"""Clusters of many videos become people: whom they resemble, what the user decided, and what never becomes one."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from facereel.query.library.people import PeopleOfLibrary
from facereel.store.library.catalogue import Catalogue
from facereel.store.library.joining import link_threshold, settle
from facereel.store.library.places import places_of
from facereel.store.library.suggestions import Questions
from facereel.store.model.errors import DamagedLibraryError
from facereel.store.model.pooling import DEFAULT_THRESHOLD
from facereel.store.model.records import Cluster, Floats
from tests.factories import make_contents, make_sightings, make_video, write_index

DIM = 16
LENGTH = 30  # frames of a tracklet


def look(degrees: float, axis: int = 1) -> Floats:
    """A face in the plane of two axes; two in one plane agree as the cosine of what lies between them."""
    vector = np.zeros(DIM, np.float32)
    vector[[0, axis]] = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return vector


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """A tracklet and its cluster."""

    vector: Floats
    cluster: int
    start: int = 0
    quality: float = 0.5


def index(store: Path, name: str, *faces: Face) -> Path:
    """Index a video with these tracklets, side by side in the picture, and bring the library up to date."""
    made = make_contents(1, make_video(f"/videos/{name}.mp4", name, 400), 1, len(faces), 2, DIM)
    rng = np.random.default_rng(0)
    tracklets, sightings, exemplars = [], {}, {}
    for item, face in zip(made.tracklets, faces, strict=True):
        number, end = item.number, face.start + LENGTH
        tracklets.append(replace(item, cluster=face.cluster, start=face.start, end=end))
        boxes = np.tile(np.array([150 * number, 50, 100, 100], np.float32), (LENGTH, 1))
        sightings[number] = replace(make_sightings(rng, face.start, end), boxes=boxes)
        exemplars[number] = tuple(
            replace(one, embedding=face.vector, quality=face.quality, frame=face.start + 5)
            for one in made.exemplars[number]
        )
    clusters = tuple(
        Cluster(cluster, None, tuple(item.number for item in tracklets if item.cluster == cluster))
        for cluster in sorted({face.cluster for face in faces})
    )
    folder = write_index(store, replace(
        made, tracklets=tuple(tracklets), sightings=sightings, exemplars=exemplars, clusters=clusters,
        config=made.config | {"threshold": DEFAULT_THRESHOLD},
        stats=replace(made.stats, faces=LENGTH * len(faces)),
    ))  # fmt: skip
    Catalogue(store).refresh([folder])
    return folder


def people_of(store: Path, *names: str) -> list[int]:
    """Whose the clusters of some videos are, by cluster number."""
    people = Catalogue(store).people
    return [
        one.id for name in names
        for _, one in sorted(people.people_of(make_video(content=name).sha256).items())
    ]  # fmt: skip


def decide(store: Path, kind: str, person: int, name: str, tracklets: Sequence[int]) -> int | None:
    """Accept, reject or split tracklets of a video, and let the library follow."""
    catalogue = Catalogue(store)
    with catalogue.find(f"{name}.mp4") as video:
        made = getattr(catalogue.people, kind)(person, places_of(video, tracklets))
        settle(catalogue.people, video)
    return int(made[1]) if kind == "split" else None


def undo(store: Path, name: str) -> None:
    catalogue = Catalogue(store)
    catalogue.people.undo()
    with catalogue.find(f"{name}.mp4") as video:
        settle(catalogue.people, video)


def test_who_is_alike_in_two_videos_is_one_person(tmp_path: Path) -> None:
    index(tmp_path, "a", Face(look(0), 1), Face(look(90), 2))
    index(tmp_path, "b", Face(look(85), 1), Face(look(5), 2), Face(look(90, axis=2), 3))
    first, second = people_of(tmp_path, "a")
    assert people_of(tmp_path, "b")[:2] == [second, first]
    assert people_of(tmp_path, "b")[2] not in (first, second)


def test_two_in_one_frame_stay_two(tmp_path: Path) -> None:
    """Twins: the more similar one is the person, the other somebody else, also where that one comes first."""
    index(tmp_path, "a", Face(look(0), 1))
    index(tmp_path, "b", Face(look(20), 1), Face(look(10), 2))
    (person,), (other, same) = people_of(tmp_path, "a"), people_of(tmp_path, "b")
    assert same == person
    assert other != person
    index(tmp_path, "c", Face(look(0), 1), Face(look(5), 2, start=50))
    assert people_of(tmp_path, "c") == [person, person]


def test_a_chain_of_looks_does_not_make_one_person(tmp_path: Path) -> None:
    """The third is as much like the second as this like the first, but not like both together."""
    index(tmp_path, "a", Face(look(0), 1))
    index(tmp_path, "b", Face(look(45), 1))
    index(tmp_path, "c", Face(look(90), 1))
    first, second, third = people_of(tmp_path, "a", "b", "c")
    assert first == second != third


def test_poor_faces_are_not_joined_by_similarity(tmp_path: Path) -> None:
    index(tmp_path, "a", Face(look(0), 1, quality=0.05))
    index(tmp_path, "b", Face(look(0), 1))
    index(tmp_path, "c", Face(look(0), 1, quality=0.05))
    assert len(set(people_of(tmp_path, "a", "b", "c"))) == 3


def test_the_threshold_grows_with_the_library_and_falls_with_quality() -> None:
    sizes = [link_threshold(count, 1.0) for count in (1, 200, 10_000, 200_000, 2_000_000)]
    assert sizes == sorted(sizes)
    assert sizes[1] < sizes[2] < sizes[3] < sizes[4] < 0.8
    qualities = [link_threshold(500, quality) for quality in (0.05, 0.1, 0.2, 0.3, 1.0)]
    assert qualities == sorted(qualities, reverse=True)
    assert qualities[0] == np.inf
    assert link_threshold(500, 1.0, scale=0.5) == pytest.approx(link_threshold(500, 1.0) / 2)


def test_people_who_turn_out_alike_become_one_and_both_ids_lead_there(tmp_path: Path) -> None:
    """Two are not alike enough; then a third look lies between them."""
    index(tmp_path, "a", Face(look(0), 1))
    index(tmp_path, "b", Face(look(60), 1))
    first, second = people_of(tmp_path, "a", "b")
    assert first != second
    index(tmp_path, "c", Face(look(30), 1))
    assert people_of(tmp_path, "a", "b", "c") == [first] * 3
    people = Catalogue(tmp_path).people
    assert people.get(second).id == first
    assert [one.id for one in people.all()] == [first]
    assert people.log() == ()


@pytest.mark.parametrize("reason", ["name", "one video"])
def test_people_of_whom_something_is_known_do_not_become_one_by_themselves(
    tmp_path: Path, reason: str
) -> None:
    others = [Face(look(60), 2, start=100)] if reason == "one video" else []
    index(tmp_path, "a", Face(look(0), 1), *others)
    index(tmp_path, "b", Face(look(60), 1))
    first, second = people_of(tmp_path, "a")[0], people_of(tmp_path, "b")[0]
    if reason == "name":
        Catalogue(tmp_path).people.name(second, "Ann")
    index(tmp_path, "c", Face(look(30), 1))
    assert people_of(tmp_path, "a")[0] == first
    assert people_of(tmp_path, "b") == [second]


def test_a_video_that_is_indexed_again_keeps_its_people(tmp_path: Path) -> None:
    index(tmp_path, "a", Face(look(0), 1), Face(look(90), 2))
    index(tmp_path, "b", Face(look(2), 1))
    before = people_of(tmp_path, "a", "b")
    # Another engine may give other clusters and embeddings.
    index(tmp_path, "a", Face(look(90, axis=3), 2), Face(look(90, axis=4), 1))
    assert people_of(tmp_path, "a", "b") == [before[1], before[0], before[2]]


def test_a_video_that_goes_takes_its_clusters_along(tmp_path: Path) -> None:
    index(tmp_path, "a", Face(look(0), 1), Face(look(90), 2))
    index(tmp_path, "b", Face(look(2), 1))
    (person,) = people_of(tmp_path, "b")
    Catalogue(tmp_path).remove("a.mp4")
    people = Catalogue(tmp_path).people
    assert [(one.id, one.clusters) for one in people.all()] == [(person, 1)]


def test_a_rejected_face_is_somebody_else_until_that_is_undone(tmp_path: Path) -> None:
    index(tmp_path, "a", Face(look(0), 1))
    index(tmp_path, "b", Face(look(2), 1))
    (person,) = people_of(tmp_path, "a")
    decide(tmp_path, "reject", person, "b", [1])
    (other,) = people_of(tmp_path, "b")
    assert other != person
    index(tmp_path, "b", Face(look(1), 3))
    assert people_of(tmp_path, "b") == [other]
    decide(tmp_path, "reject", person, "b", [1])
    assert people_of(tmp_path, "b") == [other]
    undo(tmp_path, "b")
    undo(tmp_path, "b")
    assert people_of(tmp_path, "b") == [person]


def test_an_index_that_was_replaced_since_it_was_opened_settles_nothing(tmp_path: Path) -> None:
    index(tmp_path, "a", Face(look(0), 1), Face(look(90), 2, start=100))
    first, second = people_of(tmp_path, "a")
    catalogue = Catalogue(tmp_path)
    with catalogue.find("a.mp4") as old:
        catalogue.people.accept(second, places_of(old, [2]))
        index(tmp_path, "a", Face(look(0), 2), Face(look(90), 1, start=100))
        catalogue.people.accept(second, places_of(old, [2]))
        settle(catalogue.people, old)
    assert people_of(tmp_path, "a") == [second, first]
    assert catalogue.people.unsettled()
    with catalogue.find("a.mp4") as new:
        settle(catalogue.people, new)
    assert people_of(tmp_path, "a") == [second, first]
    assert not catalogue.people.unsettled()


def test_a_decision_comes_before_the_video(tmp_path: Path) -> None:
    """As after `restore` into a store in which the video is indexed only then."""
    index(tmp_path, "a", Face(look(0), 1))
    index(tmp_path, "b", Face(look(2), 1), Face(look(90), 2))
    (person,) = people_of(tmp_path, "a")
    decide(tmp_path, "reject", person, "b", [1])
    decide(tmp_path, "accept", person, "b", [2])
    Catalogue(tmp_path).remove("b.mp4")
    index(tmp_path, "b", Face(look(2), 1), Face(look(90), 2))
    one, two = people_of(tmp_path, "b")
    assert one != person
    assert two == person


def test_an_accepted_face_brings_its_cluster_and_a_part_that_is_split_off_does_not(tmp_path: Path) -> None:
    cluster = [Face(look(0), 1, start=40 * n) for n in range(3)]
    index(tmp_path, "a", *cluster)
    index(tmp_path, "b", Face(look(90), 1))
    person, other = people_of(tmp_path, "a", "b")
    decide(tmp_path, "split", person, "a", [1])
    assert people_of(tmp_path, "a") == [person]
    new = decide(tmp_path, "split", person, "a", [1, 2])
    assert people_of(tmp_path, "a") == [new]
    decide(tmp_path, "accept", other, "a", [3])
    undo(tmp_path, "a")
    assert people_of(tmp_path, "a") == [new]
    decide(tmp_path, "accept", other, "a", [1, 2, 3])
    assert people_of(tmp_path, "a") == [other]


def test_the_order_in_which_videos_come_changes_no_person(tmp_path: Path) -> None:
    films: Mapping[str, list[Face]] = {
        name: [Face(look(90 * person + 4 * place, axis=1 + person // 4), 1 + person) for person in range(4)]
        for place, name in enumerate("abcde")
    }
    found = set()
    for number, order in enumerate(("abcde", "edcba", "caebd")):
        store = tmp_path / str(number)
        for name in order:
            index(store, name, *films[name])
        owners = people_of(store, *"abcde")
        found.add(tuple(owners.index(owner) for owner in owners))
    assert found == {(0, 1, 2, 3) * 5}


def test_a_suggestion_names_who_may_be_one_and_comes_once(tmp_path: Path) -> None:
    index(tmp_path, "a", Face(look(0), 1), Face(look(90, axis=2), 2, start=50))
    index(tmp_path, "b", Face(look(58), 1), Face(look(90, axis=3), 2))
    first, second = people_of(tmp_path, "a")[0], people_of(tmp_path, "b")[0]
    catalogue = Catalogue(tmp_path)
    catalogue.people.name(second, "Ann")
    (found,) = catalogue.suggest(5)
    assert (found.person.id, found.person.name, found.other.id) == (second, "Ann", first)
    assert found.similarity == pytest.approx(np.cos(np.radians(58)), abs=0.02)
    assert 0 < found.likelihood < 1
    assert catalogue.suggest(5) == ()


def test_a_question_that_was_skipped_comes_again_when_it_is_asked_for(tmp_path: Path) -> None:
    index(tmp_path, "a", Face(look(0), 1))
    index(tmp_path, "b", Face(look(58), 1))
    people = PeopleOfLibrary(Catalogue(tmp_path), lambda photo: ())
    asked = people.questions()
    (pair,) = asked.suggestions
    assert (asked.open, asked.skipped) == (1, 0)
    assert people.questions() == asked  # looking writes nothing down
    first, second = str(pair.person.id), str(pair.other.id)
    people.skip(second, first)
    assert people.questions() == Questions((), 0, 1)
    assert people.suggest() == ()
    people.ask_again(first, second)
    assert people.questions() == asked
    people.skip(first, second)
    people.ask_again()
    assert people.questions() == asked
    people.merge(first, [second])
    assert people.questions() == Questions((), 0, 0)


@pytest.mark.parametrize("reason", ["named", "hidden", "split", "rejected", "in one frame"])
def test_what_is_known_is_not_suggested(tmp_path: Path, reason: str) -> None:
    index(tmp_path, "a", Face(look(0), 1))
    index(tmp_path, "b", Face(look(58), 1), *([Face(look(0), 2)] if reason == "in one frame" else []))
    first, second = people_of(tmp_path, "a")[0], people_of(tmp_path, "b")[0]
    catalogue = Catalogue(tmp_path)
    if reason == "named":
        catalogue.people.name(first, "Ann")
        catalogue.people.name(second, "Bea")
    elif reason == "hidden":
        catalogue.people.hide(second)
    elif reason == "split":
        catalogue.people.merge(first, second)
        decide(tmp_path, "split", first, "b", [1])
    elif reason == "rejected":
        decide(tmp_path, "reject", first, "b", [1])
    assert catalogue.suggest(5) == ()
    assert catalogue.questions(5) == Questions((), 0, 0)


def test_a_video_of_many_faces_alike_finds_them_in_the_library(tmp_path: Path) -> None:
    """Its own clusters, which are most like one another, do not crowd out those of other videos."""
    index(tmp_path, "a", Face(look(0), 1))
    index(tmp_path, "b", *(Face(look(3), number) for number in range(1, 61)))
    assert people_of(tmp_path, "a")[0] in people_of(tmp_path, "b")


def test_a_folder_elsewhere_is_no_folder_of_the_store(tmp_path: Path) -> None:
    """A library of somebody else may name any."""
    index(tmp_path, "a", Face(look(0), 1))
    with closing(sqlite3.connect(tmp_path / "library.db")) as db, db:
        db.execute("UPDATE videos SET folder = '../elsewhere/' || folder")
    with pytest.raises(DamagedLibraryError):
        Catalogue(tmp_path).all()


def restored(store: Path, other: Path) -> None:
    """Restore the decisions of one library in another."""
    people_in(store).backup(store / "backup.json")
    people_in(other).restore(store / "backup.json")


def people_in(store: Path) -> PeopleOfLibrary:
    return PeopleOfLibrary(Catalogue(store), lambda photo: ())


def test_a_restored_name_takes_along_who_is_one_person_here(tmp_path: Path) -> None:
    """It was given when only the first video was there."""
    first, second = tmp_path / "first", tmp_path / "second"
    index(first, "a", Face(look(0), 1))
    people_in(first).name("1", "Joey")
    for name in ("a", "b", "c"):
        index(second, name, Face(look(0), 1))
    (here,) = set(people_of(second, "a", "b", "c"))
    restored(first, second)
    (joey,) = set(people_of(second, "a", "b", "c"))
    assert Catalogue(second).people.get(joey).name == "Joey"
    assert Catalogue(second).people.get(here).id == joey


@pytest.mark.parametrize("reason", ["named here", "two restored people", "a face alone"])
def test_who_may_be_somebody_else_does_not_follow_a_restored_name(tmp_path: Path, reason: str) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    index(first, "a", Face(look(0), 1))
    index(first, "b", Face(look(90), 1))
    if reason == "a face alone":
        people_in(first).split("1", ["a.mp4#t1"])
    else:
        people_in(first).name("1", "Joey")
    if reason == "two restored people":
        people_in(first).name("2", "Ross")
    for name in ("a", "b", "c"):
        index(second, name, Face(look(0), 1))
    (here,) = set(people_of(second, "a", "b", "c"))
    if reason == "named here":
        people_in(second).name(str(here), "Chandler")
    restored(first, second)
    assert people_of(second, "c") == [here]


def test_a_decision_that_was_undone_leaves_a_person_undecided(tmp_path: Path) -> None:
    index(tmp_path, "a", Face(look(0), 1))
    index(tmp_path, "b", Face(look(3), 1))
    people = people_in(tmp_path)
    people.name("1", "Joey")
    people.reject("Joey", ["b.mp4#1"])
    (other,) = people_of(tmp_path, "b")
    people.name(str(other), "Ross")
    people.undo()
    index(tmp_path, "b", Face(look(3.1), 1, quality=0.51))
    assert people_of(tmp_path, "b") == [other]
