"""Two faces meet and one hides the other: no tracklet goes over from one person to the other."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from facereel.indexer.engines.alignment import TEMPLATE
from facereel.indexer.engines.face_crops import Still, cut_out
from facereel.indexer.engines.registry import load_engine
from facereel.indexer.identity.changes import split_at_changes
from facereel.indexer.identity.recogniser import TrackRecogniser
from facereel.indexer.track.track import Candidate, Change, Track, VideoFormat
from facereel.store.model.records import DETECTED
from tests.benchmarks.portraits import load_cast
from tests.benchmarks.render import frames_of
from tests.benchmarks.scenarios import Cast
from tests.benchmarks.scenes_meeting import PLANS
from tests.benchmarks.scoring import iou
from tests.factories import index_contents
from tests.fake_engine import FakeEngine, backdrop, draw_face, write_film

ENGINE = FakeEngine()


def track_of(*people: tuple[str | None, int], change: int, meeting: bool = True) -> Track:
    """A track of people one after the other, some frames each; a crop in every second frame, of None without a face."""
    track = Track(0, "video_start", VideoFormat(320, 180, 25.0), changes=[Change(change, meeting)])
    for person, frames in people:
        for _ in range(frames):
            frame = len(track.frames)
            box = np.array([100 + frame, 60, 50, 50], np.float32)
            track.frames.append(frame)
            track.boxes.append((100 + frame, 60, 50, 50))
            track.scores.append(0.9)
            track.sources.append(DETECTED)
            if frame % 2 == 0 and person is not None:
                picture = backdrop()
                draw_face(picture, person, box.tolist())
                crop = cut_out(Still(picture), box, (box[:2] + TEMPLATE * 50 / 112).astype(np.float32))
                track.candidates.append(Candidate(frame, 0.9, crop))
    return track


def spans(tracks: list[Track]) -> list[tuple[int, int]]:
    return [(track.frames[0], track.frames[-1] + 1) for track in tracks]


def test_a_track_that_goes_over_to_another_face_ends_with_the_first() -> None:
    """What lies between the last crop of one and the first of the other belongs to neither."""
    parts = split_at_changes(
        track_of(("red", 20), (None, 6), ("cyan", 20), change=22), TrackRecogniser(ENGINE)
    )
    assert spans(parts) == [(0, 19), (26, 46)]
    assert [(part.start_reason, part.end_reason) for part in parts] == [
        ("video_start", "identity_change"), ("identity_change", "occlusion"),
    ]  # fmt: skip
    for part in parts:
        assert len(part.frames) == len(part.boxes) == len(part.scores) == len(part.sources)
        assert all(part.frames[0] <= one.frame <= part.frames[-1] for one in part.candidates)


def test_the_change_is_placed_by_the_crops_around_it() -> None:
    assert spans(
        split_at_changes(track_of(("red", 21), ("cyan", 21), change=24), TrackRecogniser(ENGINE))
    ) == [
        (0, 21),
        (22, 42),
    ]


def test_each_change_is_looked_at() -> None:
    track = track_of(("red", 20), ("red", 20), ("cyan", 20), change=20)
    track.changes.append(Change(40, True))
    assert spans(split_at_changes(track, TrackRecogniser(ENGINE))) == [(0, 39), (40, 60)]


def test_the_same_face_goes_on() -> None:
    track = track_of(("red", 20), (None, 6), ("red", 20), change=22)
    assert split_at_changes(track, TrackRecogniser(ENGINE)) == [track]


def test_a_head_that_turns_where_nobody_else_is_stays_one() -> None:
    """As a profile looks like nobody: crops that disagree prove nothing without a second face."""
    track = track_of(("red", 20), ("cyan", 20), change=20, meeting=False)
    assert split_at_changes(track, TrackRecogniser(ENGINE)) == [track]


@pytest.mark.parametrize("change", [1, 39])
def test_without_crops_on_both_sides_nothing_is_decided(change: int) -> None:
    track = track_of(("red", 20), ("cyan", 20), change=change)
    assert split_at_changes(track, TrackRecogniser(ENGINE)) == [track]


@pytest.mark.parametrize("plan", ["duck", "place"])
def test_no_tracklet_shows_two_people(plan: str, tmp_path: Path) -> None:
    """Heads that turn to a profile, drawn with known places, tracked and recognised by the real weights.

    For a moment a box may lie on both faces.
    """
    scene = PLANS[plan](Cast(load_cast()[:2]), width=56, rate=24, size=(400, 224))
    pictures, visible, _ = zip(*frames_of(scene, 1), strict=True)
    contents = index_contents(write_film(tmp_path / "meeting.mp4", pictures), load_engine())
    for sightings in contents.sightings.values():
        people: Counter[str] = Counter()
        for frame, box in zip(sightings.frames.tolist(), sightings.boxes.tolist(), strict=True):
            faces = [(iou(box, list(face.box)), face.person) for face in visible[frame] if face.share > 0.5]
            people.update(person for overlap, person in sorted(faces)[-1:] if overlap > 0.5)
        assert people.total() - max(people.values(), default=0) <= 2, people
