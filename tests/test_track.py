"""Following faces: without gaps, inside their shots, broken where they are hidden, and never mixed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facereel.indexer.engines.alignment import TEMPLATE
from facereel.indexer.engines.face_crops import Still, cut_out
from facereel.indexer.scan.frame_view import FrameView
from facereel.indexer.shots.similarity import THUMBNAIL_SIZE
from facereel.indexer.track.track import Candidate, Track, VideoFormat
from facereel.indexer.track.tracker import Tracker
from facereel.store.model.boxes import iou, xywh_to_xyxy, xyxy_to_xywh
from facereel.store.model.config import Config
from facereel.store.model.records import DETECTED, Box, FaceCrop, Faces

WIDTH, HEIGHT, RATE = 320, 180, 25.0

Frames = range | set[int]


@cache
def texture(seed: int, shape: tuple[int, int], grain: float, contrast: float) -> NDArray[np.float32]:
    smooth = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, shape), (0, 0), grain)
    return np.asarray(contrast * smooth / smooth.std(), np.float32)


@cache
def portrait(seed: int) -> NDArray[np.float32]:
    """Somebody's face (100, 80): skin in a light of its own, eyes, nose, mouth, hair; from 100 on a mask."""
    if seed >= 100:
        return 120 + texture(seed, (100, 80), 5, 50)
    rng = np.random.default_rng(seed)
    picture = np.full((100, 80), 170, np.float32) + np.linspace(-25, 15, 80)[None].astype(np.float32)
    for x in (25, 55):
        cv2.ellipse(picture, (x, int(rng.integers(36, 46))), (8, int(rng.integers(3, 6))), 0, 0, 360, 60, -1)
    cv2.ellipse(picture, (40, 60), (5, int(rng.integers(6, 12))), 0, 0, 360, 130, -1)
    cv2.ellipse(picture, (40, int(rng.integers(74, 84))), (int(rng.integers(9, 17)), 4), 0, 0, 360, 80, -1)
    picture[: int(rng.integers(8, 26))] = float(rng.integers(30, 90))
    return np.asarray(picture + texture(seed, (100, 80), 5, 14), np.float32)


@dataclass(frozen=True)
class Actor:
    """A face on its way, and what keeps a detector from seeing it."""

    seed: int
    path: Callable[[float], Box]
    there: Frames  # it is in the picture
    hidden: Frames = range(0)  # something covers it
    missed: Frames = range(0)  # the detector overlooks it
    weak: Frames = range(0)  # the detector is not sure
    score: float = 0.9


def hold(x: float, y: float, side: float = 50, dx: float = 0.0) -> Callable[[float], Box]:
    return lambda frame: (x + dx * frame, y, side, side * 1.25)


def view_of(
    frame: int, actors: Sequence[Actor], wall: int = 0, order: int | None = None, rate: float = RATE
) -> FrameView:
    """What the scan says of a frame; `order` shuffles the detections."""
    grey = 120 + texture(500 + wall, (HEIGHT, WIDTH), 12, 18) + texture(frame % 7, (HEIGHT, WIDTH), 0.6, 2)
    found = []
    for actor in actors:
        if frame not in actor.there:
            continue
        x, y, w, h = actor.path(frame)
        matrix = np.array([[w / 80, 0, x], [0, h / 100, y]], np.float32)
        size = (WIDTH, HEIGHT)
        mask = cv2.warpAffine(np.ones((100, 80), np.float32), matrix, size)
        drawn = cv2.warpAffine(portrait(actor.seed), matrix, size, flags=cv2.INTER_AREA)
        grey = np.where(mask > 0.5, 150.0 if frame in actor.hidden else drawn, grey)
        if frame not in actor.hidden and frame not in actor.missed:
            found.append((x, y, x + w, y + h, 0.35 if frame in actor.weak else actor.score))
    rows = np.array(found, np.float32).reshape(-1, 5)
    if order is not None:
        rows = rows[np.random.default_rng(order).permutation(len(rows))]
    sides = (rows[:, 2:4] - rows[:, :2])[:, None]
    landmarks = rows[:, None, :2] + TEMPLATE[None].astype(np.float32) / 112 * sides
    faces = Faces(rows[:, :4], rows[:, 4], landmarks)
    thumbnail = np.zeros((THUMBNAIL_SIZE[1], THUMBNAIL_SIZE[0], 3), np.uint8)
    pixels = np.asarray(np.clip(grey, 0, 255), np.uint8)
    view = FrameView(frame, frame / rate, 1 / rate, pixels, thumbnail, crops=crops_of(faces))
    view.set_faces(faces)
    return view


def crops_of(faces: Faces) -> tuple[FaceCrop, ...]:
    picture = np.zeros((240, 320, 3), np.uint8)
    boxes = xyxy_to_xywh(faces.boxes)
    return tuple(
        cut_out(Still(picture), box, points) for box, points in zip(boxes, faces.landmarks, strict=True)
    )


def follow(
    actors: Sequence[Actor],
    frames: int,
    cuts: Sequence[int] = (),
    order: int | None = None,
    rate: float = RATE,
) -> list[Track]:
    """Tracks in order of time."""
    tracker, tracks = Tracker(VideoFormat(WIDTH, HEIGHT, rate), Config()), []
    for frame in range(frames):
        shot = sum(cut <= frame for cut in cuts)
        tracks += tracker.step(
            view_of(frame, actors, shot, None if order is None else order + frame, rate), shot
        )
    tracks += tracker.finish()
    return sorted(tracks, key=lambda track: (track.frames[0], track.boxes[0]))


def spans(tracks: list[Track]) -> list[tuple[int, int]]:
    return [(track.frames[0], track.frames[-1] + 1) for track in tracks]


def reasons(tracks: list[Track]) -> list[tuple[str, str]]:
    return [(track.start_reason, track.end_reason) for track in tracks]


def test_a_face_is_one_track_from_the_first_frame_to_the_last() -> None:
    [track] = follow([Actor(1, hold(60, 50, dx=2), range(60))], 60)
    assert track.frames == list(range(60))
    assert set(track.sources) == {DETECTED}
    assert reasons([track]) == [("video_start", "video_end")]
    record = track.sightings()
    assert record.boxes[7] == pytest.approx([74, 50, 50, 62.5])
    assert record.scores == pytest.approx(np.full(60, 0.9))


def test_no_track_goes_on_over_a_scene_change() -> None:
    """The same person in the same place before and after: what follows is another tracklet."""
    tracks = follow([Actor(1, hold(100, 50), range(60))], 60, cuts=[30])
    assert spans(tracks) == [(0, 30), (30, 60)]
    assert [track.shot for track in tracks] == [0, 1]
    assert reasons(tracks) == [("video_start", "scene_cut"), ("scene_cut", "video_end")]


@pytest.mark.parametrize("frames", [1, 2, 5, 12])
def test_a_miss_on_a_face_that_is_plainly_there_is_bridged(frames: int) -> None:
    missed = range(30, 30 + frames)
    [track] = follow([Actor(1, hold(60, 50, dx=1), range(70), missed=missed)], 70)
    assert track.frames == list(range(70))
    assert [frame for frame in track.frames if track.sources[frame] != DETECTED] == list(missed)
    for frame in missed:
        assert track.boxes[frame] == pytest.approx([60 + frame, 50, 50, 62.5], abs=3)


@pytest.mark.parametrize("frames", [1, 2, 3, 5, 10, 30])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_full_occlusion_however_short_splits(frames: int, seed: int) -> None:
    hidden = range(30, 30 + frames)
    tracks = follow([Actor(seed, hold(120, 50), range(90), hidden=hidden)], 90)
    assert spans(tracks) == [(0, 30), (30 + frames, 90)]
    assert reasons(tracks) == [("video_start", "occlusion"), ("occlusion", "video_end")]


def test_a_weak_detection_continues_a_track_and_starts_none() -> None:
    [track] = follow([Actor(1, hold(60, 50), range(60), weak=range(20, 40))], 60)
    assert track.frames == list(range(60))
    assert set(track.sources) == {DETECTED}
    assert follow([Actor(1, hold(60, 50), range(60), weak=range(60))], 60) == []


def test_what_is_never_plainly_a_face_is_none() -> None:
    assert follow([Actor(1, hold(60, 50), range(40), score=0.62)], 40) == []
    assert follow([Actor(1, hold(60, 50), range(40), missed=set(range(40)) - {20})], 40) == []


@pytest.mark.parametrize("dx", [4, -4])
def test_entering_and_leaving_have_their_names(dx: int) -> None:
    """Across the picture from edge to edge; detected while more than half of it is inside."""

    def path(frame: float) -> Box:
        x = -60 + 4 * frame
        return (x if dx > 0 else WIDTH - 50 - x, 50, 50, 62.5)

    inside = {frame for frame in range(110) if -25 < path(frame)[0] < WIDTH - 25}
    [track] = follow([Actor(1, path, range(110), missed=set(range(110)) - inside)], 110)
    assert reasons([track]) == [("entered_frame", "left_frame")]
    assert abs(track.frames[0] - min(inside)) <= 2
    assert abs(track.frames[-1] - max(inside)) <= 2


@pytest.mark.parametrize("gap", [2, 8])
def test_two_who_cross_are_not_mixed(gap: int) -> None:
    """One passes before the other; whoever is behind is hidden meanwhile."""
    front, behind = hold(40, 50, dx=3), hold(240, 50 + gap, dx=-3)
    hidden = {f for f in range(80) if abs(front(f)[0] - behind(f)[0]) < 40}
    actors = [
        Actor(2, behind, set(range(80)) - hidden), Actor(1, front, range(80)),
    ]  # fmt: skip
    tracks = follow(actors, 80)
    for track in tracks:
        owners = set()
        for frame, box in zip(track.frames, track.boxes, strict=True):
            away = [abs(path(frame)[0] - float(box[0])) for path in (front, behind)]
            if abs(away[0] - away[1]) > 30:
                owners.add(int(np.argmin(away)))
        assert len(owners) == 1
    assert spans(tracks)[0] == (0, 80) or spans(tracks)[1] == (0, 80)


@pytest.mark.parametrize(
    ("previous", "frames"),
    [((1, 0), [20, 20]), ((1, -1), [10, 10, 20]), ((-1, 0), [10, 10, 20]), ((-1, -1), [20, 20])],
)
def test_linked_faces_continue_their_tracks_and_only_the_others_are_assigned(
    previous: tuple[int, int], frames: list[int]
) -> None:
    """A link that contradicts place and appearance is followed all the same: the two change places."""
    actors = [Actor(1, hold(40, 60), range(20)), Actor(2, hold(200, 60), range(20))]
    tracker, tracks = Tracker(VideoFormat(WIDTH, HEIGHT, RATE), Config()), []
    for frame in range(20):
        view = view_of(frame, actors)
        if frame == 10:
            view.previous = np.array(previous)
        tracks += tracker.step(view, 0)
    tracks += tracker.finish()
    places = [[float(box[0]) for box in track.boxes] for track in tracks]
    assert all(one[9] != one[10] for one in places if len(one) == 20) == (previous != (-1, -1))
    assert sorted(map(len, places)) == frames


def test_a_patch_that_the_scan_took_is_not_taken_again() -> None:
    view, other = (view_of(0, [Actor(seed, hold(60, 50), range(1))]) for seed in (1, 2))
    [box] = view.boxes
    view.face_patches = [other.patch(box)]
    assert view.patch(box) is other.patch(box)
    assert view.match_patch(other.patch(box), box).visible
    x, y, w, h = box
    assert not view.match_patch(other.patch(box), (x + 30, y + 30, w, h)).visible


def test_two_side_by_side_keep_to_themselves() -> None:
    tracks = follow([Actor(1, hold(60, 50), range(50)), Actor(2, hold(115, 52), range(50))], 50)
    assert spans(tracks) == [(0, 50), (0, 50)]
    assert [float(track.boxes[-1][0]) for track in tracks] == [60, 115]


def test_another_face_in_the_same_place_is_another_track() -> None:
    """Within one shot, as by a cut that nobody noticed."""
    tracks = follow([Actor(1, hold(100, 50), range(30)), Actor(100, hold(100, 50), range(30, 60))], 60)
    assert spans(tracks) == [(0, 30), (30, 60)]


@st.composite
def scenes(draw: st.DrawFn) -> tuple[list[Actor], list[int]]:
    """A few people who walk about for 40 frames, come and go, are hidden, are overlooked; and some cuts."""
    some = st.sets(st.integers(0, 39), max_size=8)
    actors = []
    for seed in range(draw(st.integers(0, 3))):
        x, y = draw(st.integers(-20, WIDTH - 30)), draw(st.integers(-15, HEIGHT - 40))
        dx, side = draw(st.sampled_from([-4.0, -1.0, 0.0, 2.5])), draw(st.sampled_from([24.0, 40.0, 70.0]))
        start, end = sorted((draw(st.integers(0, 39)), draw(st.integers(1, 40))))
        # A hair's breadth apart, so that no two detections fit equally well.
        path = hold(x + 0.13 * seed, y + 0.07 * seed, side, dx)
        actors.append(Actor(seed + 1, path, range(start, end), draw(some), draw(some), draw(some)))
    return actors, sorted(draw(st.sets(st.integers(1, 39), max_size=2)))


@given(scenes())
@settings(max_examples=25, deadline=None)
def test_every_sighting_lies_in_one_track_inside_its_shot_without_gaps(
    scene: tuple[list[Actor], list[int]],
) -> None:
    actors, cuts = scene
    edges = [0, *cuts, 40]
    tracks = follow(actors, 40, cuts)
    for track in tracks:
        assert track.frames == list(range(track.frames[0], track.frames[-1] + 1))
        assert len(track.frames) == len(track.boxes) == len(track.scores) == len(track.sources)
        assert edges[track.shot] <= track.frames[0] <= track.frames[-1] < edges[track.shot + 1]
        assert all(track.frames[0] <= one.frame <= track.frames[-1] for one in track.candidates)
        assert track.candidates
        for frame, box, source in zip(track.frames, track.boxes, track.sources, strict=True):
            detections = view_of(frame, actors).faces.boxes
            same = [np.allclose([*d[:2], *(d[2:] - d[:2])], box) for d in detections]
            assert source != DETECTED or any(same)
    for one, other in combinations(tracks, 2):
        for frame in set(one.frames) & set(other.frames):
            first = one.boxes[frame - one.frames[0]]
            assert not np.allclose(first, other.boxes[frame - other.frames[0]]), "one face in two tracks"


@given(scenes(), st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_the_order_of_detections_does_not_matter(scene: tuple[list[Actor], list[int]], order: int) -> None:
    actors, cuts = scene
    one, other = follow(actors, 40, cuts), follow(actors, 40, cuts, order)
    assert [track.frames for track in one] == [track.frames for track in other]
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(np.array(a.boxes), np.array(b.boxes))
        assert (a.sources, a.start_reason, a.end_reason) == (b.sources, b.start_reason, b.end_reason)


def divided(frame: int, face: Actor, post: tuple[float, float], rate: float) -> FrameView:
    """A face that a post [x0, x1) stands before: the detector sees what is left of it on either side."""
    x, y, w, h = face.path(frame)
    parts = [(x, min(post[0], x + w)), (max(post[1], x), x + w)]
    view = view_of(frame, [face], rate=rate)
    view.grey[:, max(0, round(post[0])) : max(0, round(post[1]))] = 90
    boxes = np.array([[x0, y, x1, y + h] for x0, x1 in parts if x1 - x0 > 0.25 * w], np.float32)
    scores, landmarks = np.full(len(boxes), 0.8, np.float32), np.zeros((len(boxes), 5, 2), np.float32)
    faces = Faces(boxes, scores, landmarks)
    shown = replace(view, crops=crops_of(faces))
    shown.set_faces(faces)
    return shown


@pytest.mark.parametrize("speed", [3, 5, 8])
@pytest.mark.parametrize("rate", [25, 100])
def test_a_face_that_something_narrow_passes_stays_one(speed: int, rate: int) -> None:
    face = Actor(3, hold(130, 50, side=60), range(60 * rate // 25))
    tracker, tracks = Tracker(VideoFormat(WIDTH, HEIGHT, rate), Config()), []
    for frame in range(60 * rate // 25):
        edge = 100 + speed * max(0.0, frame * 25 / rate - 20)
        tracks += tracker.step(divided(frame, face, (edge, edge + 10), rate), 0)
    tracks += tracker.finish()
    assert spans(tracks) == [(0, 60 * rate // 25)]
    assert iou(xywh_to_xyxy(np.array(tracks[0].boxes)), xywh_to_xyxy(np.array([face.path(0)]))).min() > 0.45


def sped_up(actor: Actor, factor: int) -> Actor:
    """The same actor in a video with so many times the frames a second."""

    def scaled(frames: Frames) -> set[int]:
        return {factor * frame + step for frame in frames for step in range(factor)}

    return Actor(
        actor.seed, lambda frame: actor.path(frame / factor), scaled(actor.there), scaled(actor.hidden),
        scaled(actor.missed), scaled(actor.weak), actor.score,
    )  # fmt: skip


RATES = [25, 50, 60, 100, 120]


@pytest.mark.parametrize("rate", RATES)
def test_a_face_is_expected_as_far_away_at_any_frame_rate(rate: int) -> None:
    """A face moves by 100 px a second and is lost: the prediction goes on as far in the same time."""
    video = VideoFormat(WIDTH, HEIGHT, rate)
    track = Track(0, "video_start", video)
    face = Actor(1, hold(20, 50, dx=100 / rate), range(rate))
    for frame in range(rate):
        track.add(view_of(frame, [face], rate=rate), face.path(frame), 0, strong=True)
    for seconds in (0.2, 0.4, 0.8):
        distance = float(
            track.predict(track.last_seconds + round(seconds * rate) / rate)[0] - track.boxes[-1][0]
        )
        # In a frame of film 0.85 of the velocity remains, of which there are 25 a second: 0.0171.
        assert distance == pytest.approx(100 * 0.227 * (1 - 0.0171**seconds), rel=0.15)


@pytest.mark.parametrize("rate", RATES)
def test_a_good_patch_stays_in_use_for_the_same_time(rate: int) -> None:
    """While a face is detected weakly only, as when half covered; up to a third of a second."""
    video = VideoFormat(WIDTH, HEIGHT, rate)
    track = Track(0, "video_start", video)
    face = Actor(1, hold(60, 50), range(2 * rate))
    for frame in range(2 * rate):
        track.add(view_of(frame, [face], rate=rate), face.path(frame), 0, strong=frame < 10)
        if track.patch_seconds > 9 / rate:
            break
    assert track.patch_seconds - 9 / rate == pytest.approx(0.33, abs=0.06)


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_a_scene_gives_the_same_tracks_at_any_frame_rate(factor: int) -> None:
    """Somebody walks, is missed now and then, and is hidden for a moment; somebody else stands by."""
    walker = Actor(2, hold(20, 60, dx=2.0), range(90), hidden=range(60, 66), missed=range(20, 28))
    stander = Actor(1, hold(250, 40), range(10, 90), weak=range(40, 50))
    actors = [sped_up(actor, factor) for actor in (walker, stander)]
    tracks = follow(actors, 90 * factor, rate=25 * factor)
    assert [(round(start / factor), round(end / factor)) for start, end in spans(tracks)] == [
        (0, 60), (10, 90), (66, 90),
    ]  # fmt: skip


@pytest.mark.parametrize(("rate", "doubtful"), [(5, []), (4, list(range(1, 40)))])
def test_either_all_steps_of_a_steady_clock_are_slow_or_none(rate: int, doubtful: list[int]) -> None:
    """A face whose lower part changes from frame to frame: its patch says too little after a slow step."""
    tracker = Tracker(VideoFormat(WIDTH, HEIGHT, rate), Config())
    for frame in range(40):
        view = view_of(frame, [Actor(1, hold(60, 50), range(40))], rate=rate)
        if frame % 2:
            view.grey[88:, 60:110] //= 3
        assert not tracker.step(view, 0)
    [track] = tracker.finish()
    assert (len(track.frames), track.doubts) == (40, doubtful)


def test_the_newest_crop_stays_when_there_are_too_many() -> None:
    track = Track(0, "scene_cut", VideoFormat(WIDTH, HEIGHT, 25.0))
    [crop] = crops_of(view_of(0, [Actor(1, hold(60, 50), range(1))]).faces)
    for frame in range(65):
        track.add_candidate(Candidate(frame, 0.9 if frame % 2 else 0.8, crop))
    assert [candidate.frame for candidate in track.candidates] == [*range(1, 64, 2), 64]


def lit(frame: int) -> FrameView:
    """A face lit from the right, which a plain cover passes from frame 20 to 39: its edge is where the light began."""
    covered = 20 <= frame < 40
    face = Actor(3, hold(130, 50, side=60), range(60), missed=range(20, 40))
    view = view_of(frame, [face])
    side = view.grey[50:125, 165:190]
    side[:] = cv2.convertScaleAbs(side, alpha=0.8, beta=70)
    if covered:
        edge = 158 + 3 * (frame - 20)
        view.grey[:, edge - 90 : edge], view.grey[:, edge : edge + 60] = 110, 190
    return view


def test_an_edge_of_light_is_no_face() -> None:
    tracker, tracks = Tracker(VideoFormat(WIDTH, HEIGHT, RATE), Config()), []
    for frame in range(60):
        tracks += tracker.step(lit(frame), 0)
    tracks += tracker.finish()
    assert spans(tracks) == [(0, 20), (40, 60)]


def replaced(frame: int, neighbour: float) -> FrameView:
    """A face that becomes another from frame 20 to 28, as somebody takes its place; and a neighbour at x."""
    view = view_of(frame, [Actor(1, hold(100, 50), range(60)), Actor(3, hold(neighbour, 50), range(60))])
    share = min(max((frame - 20) / 8, 0.0), 1.0)
    mixed = (1 - share) * portrait(1) + share * portrait(100)
    view.grey[50:112, 100:150] = np.clip(cv2.resize(mixed, (50, 62)), 0, 255).astype(np.uint8)
    return view


@pytest.mark.parametrize(("neighbour", "meeting"), [(155, True), (240, False)])
def test_the_moment_is_noted_at_which_a_face_is_not_the_one_of_shortly_before(
    neighbour: float, meeting: bool
) -> None:
    tracker, tracks = Tracker(VideoFormat(WIDTH, HEIGHT, RATE), Config()), []
    for frame in range(60):
        tracks += tracker.step(replaced(frame, neighbour), 0)
    tracks += tracker.finish()
    changed, other = sorted(tracks, key=lambda track: float(track.boxes[0][0]))
    assert spans([changed, other]) == [(0, 60), (0, 60)]
    [change] = changed.changes
    assert 22 <= change.frame <= 30
    assert change.meeting == meeting
    assert other.changes == []


@pytest.mark.parametrize("rate", [25.0, 50.0])
def test_a_face_is_compared_with_that_of_shortly_before_in_every_second_frame_of_film(
    rate: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[int] = []
    changes_in = Track.changes_in

    def spy(track: Track, view: FrameView) -> bool:
        compared.append(view.index)
        return changes_in(track, view)

    monkeypatch.setattr(Track, "changes_in", spy)
    tracker = Tracker(VideoFormat(WIDTH, HEIGHT, rate), Config())
    for frame in range(16):
        tracker.step(view_of(frame, [Actor(1, hold(100, 50), range(16))]), 0)
    assert compared == list(range(0, 16, 2 if rate == 25 else 4))
