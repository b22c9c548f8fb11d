"""Where a face between two detections is interpolated, and where it is in doubt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest

from facereel.indexer.scan.frame_view import FrameView
from facereel.indexer.scan.path import Path, pairs
from facereel.store.model.records import Faces, Image
from tests.fake_engine import backdrop, draw_face

WEAK, STRONG = 0.25, 0.6

Detection = tuple[float, float, float]  # x, y, score


def picture(*people: tuple[str, float, float]) -> FrameView:
    """People of 60 px at x, y on one background."""
    colours = backdrop()
    for person, x, y in people:
        draw_face(colours, person, (x, y, 60, 60))
    return view_of(colours)


def view_of(colours: Image) -> FrameView:
    grey = np.asarray(cv2.cvtColor(colours, cv2.COLOR_BGR2GRAY), np.uint8)
    return FrameView(0, 0.0, 0.04, grey, np.asarray(cv2.resize(colours, (128, 72)), np.uint8))


def faces_at(*detections: Detection) -> Faces:
    boxes = np.array([(x, y, x + 60, y + 60) for x, y, _ in detections], np.float32).reshape(-1, 4)
    landmarks = boxes[:, None, :2] + np.linspace(10, 50, 10, dtype=np.float32).reshape(5, 2)
    return Faces(boxes, np.array([score for *_, score in detections], np.float32), landmarks)


def path_of(views: Sequence[FrameView], first: Detection, last: Detection) -> Path:
    """A face between the first and the last view, where it was detected."""
    path = path_between([replace(view, seconds=step / 25) for step, view in enumerate(views)], first, last)
    path.compare()
    return path


def path_between(views: Sequence[FrameView], first: Detection, last: Detection, far: int = 10) -> Path:
    for view, detection in ((views[0], first), (views[-1], last)):
        view.set_searched(faces_at(detection))
    path = Path(views, 0, faces_at(first), 0)
    path.add(len(views) - 1, faces_at(last), 0, far)
    return path


def test_a_face_that_moves_steadily_is_where_it_must_be() -> None:
    path = path_of([picture(("red", 50 + 4 * step, 60)) for step in range(6)], (50, 60, 0.9), (70, 60, 0.8))
    assert path.known.all()
    assert path.linked.tolist() == [False] + [True] * 5
    assert path.detected.tolist() == [True] + [False] * 4 + [True]
    for step in range(6):
        assert path.boxes[step] == pytest.approx([50 + 4 * step, 60, 110 + 4 * step, 120], abs=0.5)
        assert path.landmarks[step, 0] == pytest.approx([60 + 4 * step, 60 + 130 / 9], abs=0.5)
        assert path.scores[step] == pytest.approx(0.9 - 0.02 * step, abs=0.001)


def test_a_face_beside_its_interpolated_place_is_in_doubt_until_it_is_detected() -> None:
    places = [50, 50, 50, 50, 80, 110, 140]
    path = path_of([picture(("red", x, 60)) for x in places], (50, 60, 0.9), (140, 60, 0.9))
    assert not path.known[1:-1].any()
    assert path.doubts() == [3]
    path.add(3, faces_at((50, 60, 0.9)), 0, far=10)
    path.compare()
    assert path.known.all()
    assert path.boxes[:, 0] == pytest.approx(places, abs=0.5)
    assert path.doubts() == []


def test_a_face_of_a_searched_frame_is_sampled_once_for_all_who_compare_it() -> None:
    views = [picture(("red", 50, 60)) for _ in range(3)]
    views = [replace(view, seconds=step / 25) for step, view in enumerate(views)]
    path = path_between(views, (50, 60, 0.9), (50, 60, 0.9))
    for place in (0, 2):
        view = views[place]
        assert path.patches[place] is view.face_patches[0]
        assert view.patch(view.boxes[0]) is view.face_patches[0]


def test_only_the_covered_frame_and_its_neighbours_are_in_doubt() -> None:
    views = [picture(("red", 50, 60)) for _ in range(6)]
    covered = backdrop()
    covered[40:140, 30:130] = 128
    views[3] = FrameView(3, 0.0, 0.04, view_of(covered).grey, views[3].thumbnail)
    path = path_of(views, (50, 60, 0.9), (50, 60, 0.9))
    assert path.known.tolist() == [True, True, False, False, False, True]
    assert path.doubts() == [3]
    path.missing[3] = True
    assert path.doubts() == [2, 4], "what is on either side of a frame without the face is searched, too"
    path.add(2, faces_at((50, 60, 0.9)), 0, far=10)
    path.compare()
    assert path.linked.tolist() == [False, True, True, False, False, False]


def test_a_face_that_is_not_in_the_middle_is_in_doubt_before_all_places_are_compared() -> None:
    moved = [picture(("red", 50 + 90 * (step > 3), 60)) for step in range(11)]
    still = [picture(("red", 50, 60)) for _ in range(11)]
    for views, places, doubtful in ((moved, [0, 5, 10], True), (still, list(range(11)), False)):
        first, last = (50, 60, 0.9), (50 + 90 * doubtful, 60, 0.9)
        path = path_between(
            [replace(view, seconds=step / 25) for step, view in enumerate(views)], first, last
        )
        assert path.is_doubtful() == doubtful
        assert sorted(path.patches) == places
        path.compare()
        assert sorted(path.patches) == list(range(11))
        assert bool(path.doubts()) == doubtful


def test_far_apart_detections_are_interpolated_only_where_the_face_hardly_changes() -> None:
    """A head that turns in 12 frames: each is like one of the ends, but not the same."""
    views = []
    for step in range(13):
        ahead = picture(("red", 50, 60))
        share = 0.35 * (1 - abs(step - 6) / 6)
        noise = np.random.default_rng(7).integers(0, 255, ahead.grey.shape)
        grey = ((1 - share) * ahead.grey + share * noise).astype(np.uint8)
        views.append(FrameView(step, step / 25, 0.04, grey, ahead.thumbnail))
    near, far = (path_between(views, (50, 60, 0.9), (50, 60, 0.9), far) for far in (12, 11))
    for path in (near, far):
        path.compare()
    assert near.known.sum() > far.known.sum()


def test_two_faces_at_one_place_are_not_made_one() -> None:
    """A cut to somebody at the same place, on the same background: each end confirms half of the frames."""
    other = backdrop()
    rng = np.random.default_rng(3)
    other[60:120, 50:110] = cv2.resize(rng.integers(0, 255, (8, 8, 3)).astype(np.uint8), (60, 60))
    before, after = picture(("red", 50, 60)), view_of(other)
    views = [FrameView(0, 0.0, 0.04, view.grey, before.thumbnail) for view in (*[before] * 3, *[after] * 3)]
    path = path_of(views, (50, 60, 0.9), (50, 60, 0.9))
    assert path.known.tolist() == [True, True, False, False, True, True]


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        pytest.param([(50, 60, 0.9)], [(60, 60, 0.9), (70, 60, 0.9)], [(0, 0)], id="the nearer one"),
        pytest.param([(50, 60, 0.9)], [(55, 60, 0.4), (70, 60, 0.9)], [(0, 1)], id="the clear one"),
        pytest.param([(50, 60, 0.9)], [(55, 60, 0.4)], [(0, 0)], id="a weak one"),
        pytest.param([(50, 60, 0.9)], [(200, 60, 0.9)], [], id="too far away"),
        pytest.param([(50, 60, 0.9)], [(50, 60, 0.2)], [], id="too weak"),
        pytest.param([], [(50, 60, 0.9)], [], id="nobody"),
    ],
)
def test_faces_of_two_frames_are_one_where_each_is_the_others_nearest(
    first: list[Detection], last: list[Detection], expected: list[tuple[int, int]]
) -> None:
    assert pairs(faces_at(*first), faces_at(*last), WEAK, STRONG) == expected
