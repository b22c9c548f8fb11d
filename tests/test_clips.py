"""Clips and their crops: the face is whole, the path steady, the crop inside the picture."""

from __future__ import annotations

import sys
import tracemalloc
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facereel.query.clips import framing
from facereel.query.clips.plan import ClipOptions, plan_clips, without_transitions
from facereel.query.records import ClipPlan, CropMode, MatchingTracklet
from facereel.store.model.errors import ContradictionError, OptionError
from facereel.store.model.records import Floats, FrameTimes, Shot, Sightings, Tracklet, Video

SHA = "a" * 64
EPSILON = 2e-3  # pixels: float32 boxes in pictures of thousands of pixels


def make_video(width: int = 1280, height: int = 720, sha256: str = SHA) -> Video:
    return Video(
        "/films/a.mp4", sha256, 1, 1, width, height, 0, Fraction(1), Fraction(1, 1000), Fraction(25), 0,
        "h264", False, 1000,
    )  # fmt: skip


def make_times(frames: int = 1000, step: int = 40) -> FrameTimes:
    return FrameTimes(np.arange(frames) * step, np.full(frames, step))


def make_match(
    boxes: Floats, start: int = 0, number: int = 1, video: Video | None = None, shot: int = 0
) -> tuple[MatchingTracklet, Sightings]:
    end = start + len(boxes)
    tracklet = Tracklet(number, shot, start, end, "scene_cut", "left_frame", 1, 50.0, 0.9)
    sightings = Sightings(
        np.arange(start, end), boxes, np.full(len(boxes), 0.9, np.float32), np.zeros(len(boxes), np.uint8)
    )
    return MatchingTracklet(video or make_video(), tracklet, 0.6, 0.4, "photo", "looks alike"), sightings


def still(frames: int, box: tuple[float, float, float, float] = (600, 300, 80, 100)) -> Floats:
    return np.tile(np.array(box, np.float32), (frames, 1))


def visible_part(boxes: Floats, width: int, height: int) -> NDArray[np.float64]:
    corners = np.column_stack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]]).astype(float)
    return np.asarray(np.clip(corners, 0, [width, height, width, height]), np.float64)


def assert_whole(boxes: Floats, crops: Floats, width: int, height: int) -> None:
    visible = visible_part(boxes, width, height)
    assert (crops[:, :2] <= visible[:, :2] + EPSILON).all()
    assert (crops[:, :2] + crops[:, 2:] >= visible[:, 2:] - EPSILON).all()


def assert_inside(crops: Floats, width: int, height: int) -> None:
    assert (crops[:, :2] >= -EPSILON).all()
    assert (crops[:, :2] + crops[:, 2:] <= np.array([width, height]) + EPSILON).all()


@st.composite
def wild_paths(draw: st.DrawFn) -> tuple[Floats, NDArray[np.float64], int, int]:
    """Faces that walk, jump, shrink and leave the picture, at irregular times."""
    width, height = draw(st.sampled_from([(640, 360), (360, 640), (1920, 1080), (64, 48)]))
    frames = draw(st.integers(1, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    jump = draw(st.floats(0, 0.2)) * min(width, height)
    size = draw(st.floats(0.05, 0.6)) * min(width, height)
    middle = rng.uniform(0, [width, height]) + np.cumsum(rng.normal(0, jump, (frames, 2)), axis=0)
    middle = np.clip(middle, 0, [width, height])
    sizes = np.clip(
        size * np.exp(rng.normal(0, draw(st.floats(0, 0.3)), (frames, 2))), 4, min(width, height) * 0.95
    )
    seconds = np.cumsum(rng.uniform(0.001, draw(st.floats(0.01, 0.5)), frames))
    return np.column_stack([middle - sizes / 2, sizes]).astype(np.float32), seconds, width, height


@settings(max_examples=150, deadline=None)
@given(wild_paths())
def test_follow_holds_the_whole_face_inside_the_picture(
    path: tuple[Floats, NDArray[np.float64], int, int],
) -> None:
    boxes, seconds, width, height = path
    crops = framing.follow(boxes, seconds, width, height)
    assert crops[:, 2] == pytest.approx(crops[:, 3])
    assert_whole(boxes, crops, width, height)
    assert_inside(crops, width, height)


@settings(max_examples=100, deadline=None)
@given(wild_paths())
def test_tube_holds_all_faces_inside_the_picture(path: tuple[Floats, NDArray[np.float64], int, int]) -> None:
    boxes, _, width, height = path
    crops = np.tile(framing.tube(boxes, width, height), (len(boxes), 1))
    assert_whole(boxes, crops, width, height)
    assert_inside(crops, width, height)


def test_follow_frames_a_talking_head() -> None:
    [clip], _ = plan_clips([make_match(still(50))], {SHA: make_times()})
    x, y, w, h = clip.crops[25]
    assert 100 / h == pytest.approx(framing.FACE_SHARE, abs=1e-3)
    assert x + w / 2 == pytest.approx(640, abs=0.1)
    assert 0.45 < (350 - y) / h < 0.5
    assert (clip.width, clip.height) == (238, 238)


def test_follow_is_steady_under_the_detectors_tremble() -> None:
    rng = np.random.default_rng(7)
    face = 100.0
    for speed in (0.0, 60.0):  # pixels a second: a still and a walking head
        seconds = np.arange(250) / 25
        middle = np.column_stack([300 + speed * seconds, np.full(250, 350.0)])
        size = np.full((250, 2), face) * (1 + rng.normal(0, 0.03, (250, 2)))
        trembling = middle + rng.normal(0, 0.03 * face, (250, 2))
        boxes = np.column_stack([trembling - size / 2, size]).astype(np.float32)
        crops = framing.follow(boxes, seconds, 1280, 720).astype(float)
        middles = crops[:, 0] + crops[:, 2] / 2
        # What the eye takes for shaking: changes of speed from frame to frame.
        assert np.abs(np.diff(middles, 2)).max() < 0.002 * face
        assert np.abs(np.diff(crops[:, 2], 2)).max() < 0.002 * crops[:, 2].mean()
        assert np.abs(middles - middle[:, 0])[25:-25].max() < 0.03 * face
        assert np.std(crops[:, 2]) < 0.02 * crops[:, 2].mean()


def test_follow_is_the_same_backwards() -> None:
    rng = np.random.default_rng(3)
    boxes = still(80) + rng.normal(0, 3, (80, 4)).astype(np.float32)
    seconds = np.cumsum(rng.uniform(0.01, 0.1, 80))
    forwards = framing.follow(boxes, seconds, 1280, 720)
    backwards = framing.follow(boxes[::-1], seconds[-1] - seconds[::-1], 1280, 720)
    assert forwards == pytest.approx(backwards[::-1], abs=1e-2)


def test_at_the_edge_the_crop_moves_inside_the_picture() -> None:
    [clip], _ = plan_clips([make_match(still(20, (-20, 5, 80, 100)))], {SHA: make_times()})
    assert clip.crops[:, :2].tolist() == [[0, 0]] * 20
    assert clip.crops[10, 2] == pytest.approx(100 / framing.FACE_SHARE)


def test_a_face_too_large_for_its_crop_takes_the_largest_square() -> None:
    [clip], _ = plan_clips([make_match(still(5, (400, 60, 500, 600)))], {SHA: make_times()})
    assert clip.crops[0, 1:].tolist() == [0, 720, 720]
    assert_whole(clip.sightings.boxes, clip.crops, 1280, 720)


def test_none_is_the_full_picture_with_even_sides() -> None:
    [clip], _ = plan_clips(
        [make_match(still(5), video=make_video(1281, 721))], {SHA: make_times()}, ClipOptions("none")
    )
    assert clip.crops[0].tolist() == [0, 0, 1280, 720]
    assert (clip.width, clip.height) == (1280, 720)


@pytest.mark.parametrize(("face", "side"), [(10, 64), (101, 240), (600, 720)])
def test_size_follows_from_the_median_crop(face: float, side: int) -> None:
    [clip], _ = plan_clips([make_match(still(9, (400, 50, face, face)))], {SHA: make_times()})
    assert (clip.width, clip.height) == (side, side)


def test_size_is_what_was_asked() -> None:
    modes: tuple[CropMode, ...] = ("follow", "tube")
    for mode in modes:
        [clip], _ = plan_clips([make_match(still(9))], {SHA: make_times()}, ClipOptions(mode, 512))
        assert (clip.width, clip.height) == (512, 512)


def test_a_wide_tube_keeps_its_aspect() -> None:
    boxes = still(100)
    boxes[:, 0] = np.linspace(0, 1180, 100)
    [clip], _ = plan_clips([make_match(boxes)], {SHA: make_times()}, ClipOptions("tube", 640))
    assert clip.crops[0, 2] > 1200
    assert clip.width == 640
    assert clip.height / clip.width == pytest.approx(clip.crops[0, 3] / clip.crops[0, 2], abs=0.01)


def test_each_match_is_its_own_clip_in_order_of_video_and_time() -> None:
    first, second = make_video(), make_video(sha256="b" * 64)
    matches = [
        make_match(still(10), 50, 3, first), make_match(still(10), 0, 4, second),
        make_match(still(10), 40, 2, first), make_match(still(10), 5, 1, second),
    ]  # fmt: skip
    clips, dropped = plan_clips(matches, {SHA: make_times(), "b" * 64: make_times()})
    assert [(clip.match.video.sha256[0], clip.start, clip.end) for clip in clips] == [
        ("a", 40, 50), ("a", 50, 60), ("b", 0, 10), ("b", 5, 15)
    ]  # fmt: skip
    assert dropped == 0


def test_short_clips_are_dropped_and_counted() -> None:
    matches = [make_match(still(25), 0, 1), make_match(still(24), 100, 2)]
    clips, dropped = plan_clips(matches, {SHA: make_times()}, ClipOptions(min_duration=1.0))
    assert ([clip.match.tracklet.number for clip in clips], dropped) == ([1], 1)
    assert plan_clips([], {}) == ([], 0)


@pytest.mark.parametrize(
    ("mode", "size", "min_duration", "option", "value"),
    [
        ("round", None, 0, "--crop", "'round'"),
        ("follow", 33, 0, "--size", "33"),
        ("follow", 8, 0, "--size", "8"),
        ("none", 513, 0, "--size", "513"),
        ("follow", None, -1, "--min-duration", "-1"),
        ("follow", None, float("nan"), "--min-duration", "nan"),
    ],
)
def test_options_out_of_range_are_refused_with_their_value(
    mode: CropMode, size: int | None, min_duration: float, option: str, value: str
) -> None:
    with pytest.raises(OptionError) as caught:
        plan_clips([], {}, ClipOptions(mode, size, min_duration))
    assert option in str(caught.value)
    assert value in str(caught.value)


SHOTS = (Shot(0, 0, 40), Shot(1, 40, 100))


def around(match: tuple[MatchingTracklet, Sightings], **options: Any) -> ClipPlan:
    [clip], _ = plan_clips([match], {SHA: make_times()}, ClipOptions(**options), {Path(): SHOTS})
    return clip


def test_handles_stop_at_the_ends_of_the_shot() -> None:
    middle = around(make_match(still(10), 20), handles=5)
    assert (middle.start, middle.end, middle.person_start, middle.person_end) == (15, 35, 20, 30)
    assert (middle.start_time, middle.end_time, middle.exact) == (0.6, 1.4, False)
    assert middle.person_ticks == (800, 1200)
    whole = around(make_match(still(10), 20), handles=50)
    assert (whole.start, whole.end) == (0, 40)
    assert around(make_match(still(40)), handles=5).exact


def test_handles_hold_the_crop_of_the_first_and_last_face() -> None:
    boxes = still(10)
    boxes[:, 0] += np.arange(10) * 4
    exact, wide = around(make_match(boxes, 20)), around(make_match(boxes, 20), handles=8)
    assert (wide.crops[8:18] == exact.crops).all()
    assert (wide.crops[:8] == exact.crops[0]).all()
    assert (wide.crops[18:] == exact.crops[-1]).all()
    assert (wide.width, wide.height) == (exact.width, exact.height)


def test_a_whole_shot_is_cut_once_however_many_matches_it_has() -> None:
    matches = [make_match(still(5), 3, 1), make_match(still(12), 20, 2), make_match(still(5), 60, 3, shot=1)]
    clips, _ = plan_clips(matches, {SHA: make_times()}, ClipOptions(whole_shots=True), {Path(): SHOTS})
    assert [(clip.start, clip.end) for clip in clips] == [(0, 40), (40, 100)]
    assert [(clip.person_start, clip.person_end) for clip in clips] == [(20, 32), (60, 65)]
    assert [clip.match.tracklet.number for clip in clips] == [2, 3]
    assert clips[0].sightings.frames.tolist() == [*range(3, 8), *range(20, 32)]
    assert [len(clip.crops) for clip in clips] == [40, 60]


def test_transitions_are_of_no_shot_as_far_as_tracklets_tell() -> None:
    tracklets = [
        Tracklet(1, 0, 0, 33, "video_start", "scene_cut", 1, 50.0, 0.9),
        Tracklet(2, 1, 48, 60, "scene_cut", "occlusion", 1, 50.0, 0.9),
        Tracklet(3, 1, 52, 90, "entered_frame", "left_frame", 1, 50.0, 0.9),
    ]
    assert without_transitions(SHOTS, tracklets) == (Shot(0, 0, 33), Shot(1, 48, 100))


@pytest.mark.parametrize("options", [{"handles": 3, "whole_shots": True}])
def test_options_that_rule_each_other_out_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ContradictionError):
        ClipOptions(**options).check()


SHAPES = {"9:16": 9 / 16, "4:5": 4 / 5, "1:1": 1.0, "16:9": 16 / 9}


@settings(max_examples=100, deadline=None)
@given(wild_paths(), st.sampled_from(sorted(SHAPES)), st.booleans())
def test_a_crop_of_a_shape_stays_inside_and_holds_what_it_can(
    path: tuple[Floats, NDArray[np.float64], int, int], name: str, largest: bool
) -> None:
    boxes, seconds, width, height = path
    crops = framing.follow(boxes, seconds, width, height, SHAPES[name], largest)
    assert crops[:, 2] / crops[:, 3] == pytest.approx(SHAPES[name], rel=1e-4)
    assert_inside(crops, width, height)
    visible = visible_part(boxes, width, height)
    fits = (visible[:, 2:] - visible[:, :2] <= crops[:, 2:] - EPSILON).all(axis=1)
    assert_whole(boxes[fits], crops[fits], width, height)


@settings(max_examples=50, deadline=None)
@given(wild_paths(), st.sampled_from(sorted(SHAPES)))
def test_a_tube_of_a_shape_stays_inside(
    path: tuple[Floats, NDArray[np.float64], int, int], name: str
) -> None:
    boxes, _, width, height = path
    crops = framing.tube(boxes, width, height, SHAPES[name])[None]
    assert crops[0, 2] / crops[0, 3] == pytest.approx(SHAPES[name], rel=1e-4)
    assert_inside(crops, width, height)


@pytest.mark.parametrize("face", [12, 100])
@pytest.mark.parametrize("aspect", SHAPES)
def test_a_shape_enlarges_no_more_than_the_square(aspect: Any, face: float) -> None:
    boxes = still(30, (600, 300, face, face))
    square, shaped = around(make_match(boxes)), around(make_match(boxes), aspect=aspect)
    assert min(shaped.width, shaped.height) >= 64
    assert shaped.width / shaped.height == pytest.approx(SHAPES[aspect], rel=0.02)
    enlarged = [clip.width / np.median(clip.crops[:, 2]) for clip in (square, shaped)]
    assert enlarged[1] <= enlarged[0] * 1.01
    assert (shaped.crops[:, 2:] >= square.crops[:, 2:] - EPSILON).all()


def test_the_whole_picture_in_a_shape_is_the_largest_crop_round_the_face() -> None:
    boxes = still(100)
    boxes[:, 0] = np.linspace(0, 1180, 100)
    clip = around(make_match(boxes), crop="none", aspect="9:16")
    assert (clip.width, clip.height) == (404, 720)
    assert clip.crops[:, 2:] == pytest.approx(np.tile([405, 720], (100, 1)))
    middle = clip.crops[30:70, 0] + 202.5
    assert middle == pytest.approx(boxes[30:70, 0] + 40, abs=2)
    # Pixels a frame a frame, of 12 a frame: it comes to rest at the edges.
    assert np.abs(np.diff(clip.crops[:, 0], 2)).max() < 4


def planning(frames: int) -> tuple[int, int]:
    """How many calls, and how many bytes at most, it takes to plan the crops of a tracklet that trembles."""
    boxes = still(frames) + np.random.default_rng(1).normal(0, 3, (frames, 4)).astype(np.float32)
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    tracemalloc.start()
    sys.setprofile(count)
    try:
        crops = framing.follow(boxes, np.arange(frames) / 30, 1280, 720)
    finally:
        sys.setprofile(None)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert_whole(boxes, crops, 1280, 720)
    return calls, peak


def test_the_work_of_planning_grows_no_faster_than_the_tracklet() -> None:
    """Frames are handled together, never one by one (more calls) or each against each (memory)."""
    (calls, peak), (more_calls, more_peak) = planning(3_000), planning(30_000)
    assert more_calls < 1.1 * calls
    assert more_peak < 11 * peak
