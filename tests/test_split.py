"""Trails that hold two people are cut where the look changes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from facereel.indexer.engines.alignment import TEMPLATE
from facereel.indexer.engines.face_crops import Still, cut_out
from facereel.indexer.identity.exemplars import choose_exemplars
from facereel.indexer.identity.recogniser import TrackRecogniser
from facereel.indexer.identity.splitting import split_mixed
from facereel.indexer.track.track import Candidate, Change, Track, VideoFormat
from facereel.store.model.records import DETECTED, FaceCrop, Floats
from tests.fake_engine import FakeEngine, backdrop, draw_face

ENGINE = FakeEngine()


def crop(person: str, box: Floats) -> FaceCrop:
    picture = backdrop()
    draw_face(picture, person, box.tolist())
    return cut_out(Still(picture), box, (box[:2] + TEMPLATE * box[2] / 112).astype(np.float32))


def trail_of(*people: tuple[str, int], every: int = 5, noticed: bool = True) -> Track:
    """A trail of people one after the other, some frames and another place each; looks every few frames.

    `noticed` says whether the tracker noticed that the face changes where another person begins.
    """
    track = Track(2, "scene_cut", VideoFormat(320, 180, 25.0), end_reason="left_frame")
    frame = 10
    for number, (person, frames) in enumerate(people):
        if number and noticed:
            track.changes.append(Change(frame, meeting=False))
        for _ in range(frames):
            x = 100 + 45 * number + 0.3 * frame
            track.frames.append(frame)
            track.boxes.append((x, 80, 60, 60))
            track.scores.append(0.9)
            track.sources.append(DETECTED)
            if frame % every == 0:
                track.candidates.append(
                    Candidate(frame, 0.9, crop(person, np.array([x, 80, 60, 60], np.float32)))
                )
            frame += 1
    return track


def split(track: Track, looks: int = 8) -> list[Track]:
    recogniser = TrackRecogniser(ENGINE)
    return split_mixed(track, choose_exemplars(track, looks, recogniser), recogniser)


@pytest.mark.parametrize(("first", "second"), [(40, 40), (62, 33), (33, 71), (50, 200)])
@pytest.mark.parametrize("every", [1, 5])
@pytest.mark.parametrize("noticed", [True, False])
def test_two_people_are_parted_at_the_frame_of_the_change(
    first: int, second: int, every: int, noticed: bool
) -> None:
    whole = trail_of(("red", first), ("cyan", second), every=every, noticed=noticed)
    parts = split(whole)
    assert [part.frames for part in parts] == [whole.frames[:first], whole.frames[first:]]
    assert [(part.start_reason, part.end_reason) for part in parts] == [
        ("scene_cut", "identity_change"), ("identity_change", "left_frame"),
    ]  # fmt: skip
    for part in parts:
        assert len(part.frames) == len(part.boxes) == len(part.scores) == len(part.sources)
        assert all(part.frames[0] <= look.frame <= part.frames[-1] for look in part.candidates)
        assert part.shot == 2
    assert sum(len(part.candidates) for part in parts) == len(whole.candidates)


def test_the_parts_keep_their_places() -> None:
    whole = trail_of(("red", 40), ("cyan", 40))
    assert [box for part in split(whole) for box in part.boxes] == [*whole.boxes]


def test_one_person_stays_whole() -> None:
    whole = trail_of(("red", 40), ("red", 40))
    assert split(whole) == [whole]


@pytest.mark.parametrize("looks", [0, 1, 2])
def test_too_few_looks_prove_nothing(looks: int) -> None:
    whole = trail_of(("red", 20), ("cyan", 20))
    recogniser = TrackRecogniser(ENGINE)
    exemplars = choose_exemplars(whole, 8, recogniser)
    assert split_mixed(whole, exemplars[:looks], recogniser) == [whole]


def test_one_odd_look_proves_nothing() -> None:
    assert len(split(trail_of(("red", 38), ("cyan", 5), ("red", 40)))) == 1


def test_three_people_are_three_parts() -> None:
    whole = trail_of(("red", 40), ("cyan", 40), ("yellow", 40))
    parts = split(whole, looks=9)
    assert [part.frames for part in parts] == [whole.frames[start : start + 40] for start in (0, 40, 80)]
    for one, other in pairwise(parts):
        assert (one.end_reason, other.start_reason) == ("identity_change", "identity_change")
