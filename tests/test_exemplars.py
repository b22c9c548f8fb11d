"""A tracklet gets few exemplars where they agree and more where they do not; nothing is embedded twice or in vain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from facereel.indexer.engines.alignment import TEMPLATE
from facereel.indexer.engines.face_crops import Still, cut_out
from facereel.indexer.identity.changes import split_at_changes
from facereel.indexer.identity.exemplars import choose_exemplars
from facereel.indexer.identity.recogniser import TrackRecogniser
from facereel.indexer.identity.splitting import split_at_doubts
from facereel.indexer.track.track import Candidate, Change, Track, VideoFormat
from facereel.store.model.records import DETECTED, Embeddings, FaceCrop, Image, Landmarks
from tests.fake_engine import FakeEngine, backdrop, draw_face

COUNT = 6


class Counting(FakeEngine):
    """Counts crops; vectors, of which each is asked for by the number of crops before it, are as they are given."""

    def __init__(self, probability: float = 1.0, vector: Callable[[int], NDArray[np.float32]] | None = None):
        super().__init__()
        self.embedded = self.aligned = 0
        self._probability, self._vector = probability, vector

    def landmarks(self, crops: Sequence[FaceCrop]) -> Landmarks:
        self.aligned += len(crops)
        found = super().landmarks(crops)
        return replace(found, face_probabilities=np.full(len(crops), self._probability, np.float32))

    def embed(self, crops: NDArray[np.uint8], mirrored: bool = True) -> Embeddings:
        first, self.embedded = self.embedded, self.embedded + len(crops)
        found = super().embed(crops, mirrored)
        if self._vector is None:
            return found
        return replace(found, vectors=np.stack([self._vector(first + n) for n in range(len(crops))]))


def track_of(
    *people: tuple[str, int], scores: Callable[[int], float] = lambda frame: 0.9, side: int = 50,
    steady: bool = False,
) -> Track:  # fmt: skip
    """A track of people one after the other, some frames each, as a tracker gives it; a crop of every other frame.

    Their boxes have that `side`, pixels. No two crops look alike, since the light moves around, unless it is `steady`.
    """
    track = Track(0, "video_start", VideoFormat(320, 180, 25.0))
    for person, frames in people:
        if track.frames:
            track.changes.append(Change(len(track.frames), meeting=True))
        for _ in range(frames):
            frame = len(track.frames)
            box = np.array([100, 60, side, side], np.float32)
            track.frames.append(frame)
            track.boxes.append((100, 60, side, side))
            track.scores.append(0.9)
            track.sources.append(DETECTED)
            if frame % 2 == 0:
                picture = backdrop()
                draw_face(picture, person, box.tolist())
                if not steady:
                    picture = lit(picture, box, 0.3 * frame)
                crop = cut_out(Still(picture), box, (box[:2] + TEMPLATE * side / 112).astype(np.float32))
                track.candidates.append(Candidate(frame, scores(frame), crop))
    return track


def lit(picture: Image, box: NDArray[np.float32], angle: float) -> Image:
    """The picture with light from that side of a box (4,), radians; hues stay."""
    x, y, w, h = box.tolist()
    rows, columns = np.indices(picture.shape[:2])
    across, down = (columns - x - w / 2) / w, (rows - y - h / 2) / h
    light = np.clip(0.65 + 1.6 * (across * np.cos(angle) + down * np.sin(angle)), 0.3, 1)
    return np.asarray(picture * light[..., None], np.uint8)


def disagreeing(similarity: float) -> Callable[[int], NDArray[np.float32]]:
    """Vectors of which any two are that similar."""

    def vector(number: int) -> NDArray[np.float32]:
        own = np.zeros(24, np.float32)
        own[0], own[1 + number] = np.sqrt(similarity), np.sqrt(1 - similarity)
        return own

    return vector


def test_two_crops_of_one_pose_suffice_and_only_good_ones_are_aligned() -> None:
    engine = Counting()
    exemplars = choose_exemplars(track_of(("red", 50)), COUNT, TrackRecogniser(engine))
    assert (len(exemplars), engine.embedded) == (2, 2)
    assert engine.aligned == COUNT


def test_of_crops_that_look_alike_one_suffices() -> None:
    engine = Counting()
    exemplars = choose_exemplars(
        track_of(("red", 120), steady=True, side=100), COUNT, TrackRecogniser(engine)
    )
    assert (len(exemplars), engine.embedded) == (1, 1)


def test_either_end_of_a_long_track_has_an_exemplar() -> None:
    track = track_of(("red", 120), scores=lambda frame: 0.95 if 40 <= frame < 80 else 0.8)
    exemplars = choose_exemplars(track, COUNT, TrackRecogniser(Counting()))
    assert [exemplar.frame // 40 for exemplar in exemplars] == [0, 2]


@pytest.mark.parametrize("scale", [1.0, 0.8])
@pytest.mark.parametrize(("similarity", "count"), [(0.85, 2), (0.65, 2), (0.55, 3), (0.1, COUNT)])
def test_the_less_crops_agree_the_more_are_embedded(similarity: float, count: int, scale: float) -> None:
    engine = Counting(vector=disagreeing(scale * similarity))
    recogniser = TrackRecogniser(engine)
    recogniser.scale = scale
    exemplars = choose_exemplars(track_of(("red", 50)), COUNT, recogniser)
    assert (len(exemplars), engine.embedded) == (count, count)


def test_of_a_small_face_whose_crops_show_one_pose_another_is_taken() -> None:
    large, small = (
        [
            one.frame
            for one in choose_exemplars(track_of(("red", 20), side=side), COUNT, TrackRecogniser(engine))
        ]
        for side, engine in ((100, Counting()), (20, Counting(vector=disagreeing(0.95))))
    )
    assert len(large) == 2
    assert len(small) == 3


def test_they_are_the_best_of_their_time() -> None:
    track = track_of(("red", 90), scores=lambda frame: 0.95 if frame in (10, 70) else 0.6)
    exemplars = choose_exemplars(track, COUNT, TrackRecogniser(Counting()))
    assert [exemplar.frame for exemplar in exemplars] == [10, 70]


class Faint(Counting):
    """Of all crops but the third it says that hardly a face is to be seen."""

    def embed(self, crops: NDArray[np.uint8], mirrored: bool = True) -> Embeddings:
        first = self.embedded
        found = super().embed(crops, mirrored)
        confidences = np.array([1.0 if first + n == 2 else 0.0 for n in range(len(crops))], np.float32)
        return replace(found, face_confidences=confidences)


@pytest.mark.parametrize(("probability", "count"), [(0.9, 3), (0.6, 0)])
def test_a_face_that_turns_away_in_two_crops_is_seen_by_a_third(probability: float, count: int) -> None:
    assert len(choose_exemplars(track_of(("red", 50)), COUNT, TrackRecogniser(Faint(probability)))) == count


def test_what_is_no_face_is_not_embedded() -> None:
    engine = Counting(probability=0.1)
    assert choose_exemplars(track_of(("red", 40)), COUNT, TrackRecogniser(engine)) == ()
    assert engine.embedded == 0


def test_each_stretch_between_changes_has_an_exemplar() -> None:
    track = track_of(("red", 40), ("red", 30), ("red", 60))
    exemplars = choose_exemplars(track, COUNT, TrackRecogniser(Counting()))
    assert {sum(change.frame <= one.frame for change in track.changes) for one in exemplars} == {0, 1, 2}


def test_two_people_in_one_track_get_all_exemplars() -> None:
    track = track_of(("red", 60), ("cyan", 60))
    assert len(choose_exemplars(track, COUNT, TrackRecogniser(Counting()))) == COUNT


def test_crops_that_a_change_was_decided_by_become_exemplars() -> None:
    engine = Counting()
    track, recogniser = track_of(("red", 20), ("red", 20)), TrackRecogniser(engine)
    assert split_at_changes(track, recogniser) == [track]
    assert engine.embedded == 2
    assert len(choose_exemplars(track, COUNT, recogniser)) == 2
    assert engine.embedded == 2


def test_a_change_beside_which_a_face_looks_as_before_costs_no_embedding() -> None:
    engine = Counting()
    track, recogniser = track_of(("red", 20), ("red", 20), steady=True), TrackRecogniser(engine)
    assert split_at_changes(track, recogniser) == [track]
    assert engine.embedded == 0


def test_a_doubt_costs_the_crops_beside_it() -> None:
    engine = Counting()
    track = track_of(("red", 60))
    track.doubts.append(30)
    assert split_at_doubts(track, TrackRecogniser(engine)) == [track]
    assert engine.embedded == 4
