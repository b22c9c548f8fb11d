"""What shows no clear face becomes nobody; where an index holds it, the contact sheet has it last and small."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facereel.indexer.identity.clustering import TrackletIdentity, cluster
from facereel.query.export import contact_sheet
from facereel.query.export.sheet import draw
from facereel.store.index.reader import VideoIndex
from facereel.store.library.people import LibraryPerson
from facereel.store.model.records import Cluster, FaceCrop, Image, Landmarks
from facereel.store.model.views import match_by_cluster, pooled_probability, shows_face, view_of
from tests.factories import IndexContents, index_contents, make_contents, write_index
from tests.fake_engine import FakeEngine, backdrop, draw_face, write_film
from tests.program import Run

FRONT, SIDE, POT, TURNED = 1, 2, 3, 4  # tracklets, each a cluster of its own


@pytest.mark.parametrize(
    ("width", "probabilities", "face"),
    [
        (30, [0.65, 0.1, 0.2], False),  # a pot that looks like a face in one crop
        (30, [0.98, 0.1, 0.1], True),  # a face that turns away
        (30, [0.1, 0.1], False),
        (11, [0.1, 0.1], True),  # too small for the landmark model's word
        (12, [0.1, 0.1], False),
        (30, [None, None], True),  # an index of before
        (30, [], True),
    ],
)
def test_a_face_is_judged_by_all_its_crops(
    width: float, probabilities: list[float | None], face: bool
) -> None:
    assert shows_face(width, probabilities) is face


def test_the_best_crop_says_the_view() -> None:
    assert view_of([0.1, 0.9]) == "frontal"
    assert view_of([0.1, 0.2]) == "profile"
    assert view_of([]) == "none"


class Doubtful(FakeEngine):
    """Its landmark model takes green squares for objects."""

    def landmarks(self, crops: Sequence[FaceCrop]) -> Landmarks:
        """Blue, green, red of the middle of each crop tell."""
        middles = [crop.image[len(crop.image) // 2, len(crop.image) // 2] for crop in crops]
        faces = [float(middle.argmax() != 1) for middle in middles]
        return replace(super().landmarks(crops), face_probabilities=np.array(faces, np.float32))


def test_one_crop_in_which_a_head_turns_is_not_enough_to_match_by_its_cluster() -> None:
    turning, turned = [0.98, 0.5, 0.4], [0.8, 0.2, 0.2, 0.2]
    pooled = np.array([pooled_probability(turning), pooled_probability(turned)] * 2, np.float32)
    widths = np.array([40, 40, 10, 10], np.float32)
    assert shows_face(40.0, turned)
    assert match_by_cluster(widths, pooled).tolist() == [True, False, True, True]


def test_an_object_is_not_kept(tmp_path: Path) -> None:
    def pictures() -> Iterator[Image]:
        for frame in range(12):
            picture = backdrop()
            draw_face(picture, "green", (30 + frame, 60, 50, 50))
            draw_face(picture, "red", (200, 40 + frame, 60, 60))
            yield picture

    film = write_film(tmp_path / "film.mp4", pictures())
    both = index_contents(film, FakeEngine())
    assert len(both.tracklets) == 2
    (tracklet,) = index_contents(film, Doubtful()).tracklets
    assert tracklet.face_width == pytest.approx(60, abs=4)


def test_what_shows_no_clear_face_joins_nobody() -> None:
    def identity(start: int, joinable: bool) -> TrackletIdentity:
        return TrackletIdentity(
            embedding=np.eye(8, dtype=np.float32)[0], quality=0.9, shot=start, start=start, end=start + 40,
            start_seconds=start / 25, seconds=1.6, ends=np.full((2, 4), 60, np.float32), joinable=joinable,
        )  # fmt: skip

    assert cluster([identity(0, True), identity(100, True), identity(200, True)]) == [0, 0, 0]
    assert cluster([identity(0, True), identity(100, False), identity(200, True)]) == [0, 1, 0]
    assert cluster([identity(0, False), identity(100, False)]) == [0, 1]


def contents() -> IndexContents:
    """Four clusters of equal quality; the pot is there for longest by far."""
    made = make_contents(2, tracklets=4)
    spans = {FRONT: (0, 12), SIDE: (12, 14), POT: (0, 20), TURNED: (14, 16)}
    looks = {FRONT: (0.9, 0.99), SIDE: (0.1, 0.99), POT: (0.9, 0.2), TURNED: (0.0, 0.1)}
    tracklets = tuple(
        replace(
            item, shot=0, start=spans[item.number][0], end=spans[item.number][1], cluster=item.number,
            face_width=40.0,
        )
        for item in made.tracklets
    )  # fmt: skip
    exemplars = {
        number: tuple(
            replace(
                one, frame=spans[number][0], quality=0.5, frontality=looks[number][0],
                face_probability=looks[number][1],
            )
            for one in own
        )
        for number, own in made.exemplars.items()
    }  # fmt: skip
    sightings = {
        item.number: replace(
            made.sightings[item.number],
            frames=np.arange(item.start, item.end),
            boxes=np.full((item.end - item.start, 4), 40, np.float32),
            scores=np.full(item.end - item.start, 0.9, np.float32),
            sources=np.zeros(item.end - item.start, np.uint8),
        )
        for item in tracklets
    }
    clusters = tuple(Cluster(item.cluster, None, (item.number,)) for item in tracklets)
    return replace(made, tracklets=tracklets, exemplars=exemplars, sightings=sightings, clusters=clusters)


def person(number: int, name: str | None) -> LibraryPerson:
    return LibraryPerson(number, name, hidden=False, clusters=1, videos=1, seconds=1.0, decisions=0)


def test_the_sheet_has_people_first_and_the_rest_small(tmp_path: Path) -> None:
    with VideoIndex(write_index(tmp_path, contents())) as index:
        rows = contact_sheet.rows_of(index, {FRONT: person(7, "Grace"), SIDE: person(8, None)})
        drawn = [contact_sheet.sheet_row(row, index.video, index.times()) for row in rows]
        picture, people = draw("film", drawn), draw("film", drawn[:2])
        assert (index.people_count(), len(index.clusters())) == (2, 4)
    assert [(row.cluster, row.view, row.recognisable) for row in rows] == [
        (FRONT, "frontal", True), (SIDE, "profile", True), (POT, "none", False), (TURNED, "none", False),
    ]  # fmt: skip
    assert drawn[2].crop_side == drawn[3].crop_side == drawn[0].crop_side / 2
    assert len(picture) - len(people) == drawn[2].height + drawn[3].height < 2 * drawn[0].height
    assert [row.title for row in drawn] == ["Grace", f"cluster {SIDE}", f"cluster {POT}", f"cluster {TURNED}"]
    assert [row.lines[0] for row in drawn[:2]] == [f"cluster {FRONT}, person 7", f"cluster {SIDE}, person 8"]


def test_a_script_reads_the_view_and_a_person_how_many_people_there_are(run: Run, tmp_path: Path) -> None:
    write_index(tmp_path / "s", contents())
    options = ("movie.mp4", "--store", tmp_path / "s", "--out", tmp_path / "faces.png")
    clusters = json.loads(run("faces", *options, "--json").stdout)["clusters"]
    assert [(row["view"], row["recognisable"]) for row in clusters] == [
        ("frontal", True), ("profile", True), ("none", False), ("none", False),
    ]  # fmt: skip
    assert run("faces", *options).stdout.startswith("2 people, and 2 clusters hard to recognise, in ")
