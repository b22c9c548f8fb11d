"""Which faces between two searched frames are interpolated, and which frames are left to the detector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest

from facereel.indexer.scan.frame_view import FrameView
from facereel.indexer.scan.interpolation import interpolate
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


def interpolated(
    views: Sequence[FrameView], first: Sequence[Detection], last: Sequence[Detection]
) -> list[Faces | None]:
    """The faces between the first and the last view, which have these."""
    known = {0: faces_at(*first), len(views) - 1: faces_at(*last)}
    stretch = [
        replace(view, seconds=step / 25, analysis_faces=known.get(step)) for step, view in enumerate(views)
    ]
    return interpolate(stretch, WEAK, STRONG)


def test_a_face_that_moves_steadily_is_where_it_must_be() -> None:
    views = [picture(("red", 50 + 4 * step, 60)) for step in range(6)]
    for step, faces in enumerate(interpolated(views, [(50, 60, 0.9)], [(70, 60, 0.8)]), start=1):
        assert faces is not None
        assert faces.boxes[0] == pytest.approx([50 + 4 * step, 60, 110 + 4 * step, 120], abs=0.5)
        assert faces.landmarks[0, 0] == pytest.approx([60 + 4 * step, 60 + 130 / 9], abs=0.5)
        assert faces.scores[0] == pytest.approx(0.9 - 0.02 * step, abs=0.001)


def test_a_face_beside_its_interpolated_place_is_found_there() -> None:
    places = [50, 50, 50, 58, 66, 70]
    views = [picture(("red", x, 60)) for x in places]
    inner = interpolated(views, [(50, 60, 0.9)], [(70, 60, 0.9)])
    for x, faces in zip(places[1:-1], inner, strict=True):
        assert faces is not None
        assert faces.boxes[0, 0] == pytest.approx(x, abs=2.5)


def test_only_the_covered_frame_and_its_neighbours_are_left_to_the_detector() -> None:
    views = [picture(("red", 50, 60)) for _ in range(6)]
    covered = backdrop()
    covered[40:140, 30:130] = 128
    views[3] = FrameView(3, 0.0, 0.04, view_of(covered).grey, views[3].thumbnail)
    inner = interpolated(views, [(50, 60, 0.9)], [(50, 60, 0.9)])
    assert [faces is None for faces in inner] == [False, True, True, True]


@pytest.mark.parametrize(
    ("first", "last"),
    [
        pytest.param([(50, 60, 0.9)], [], id="gone"),
        pytest.param([(50, 60, 0.9)], [(50, 60, 0.9), (200, 60, 0.9)], id="one more"),
        pytest.param([(50, 60, 0.9)], [(200, 60, 0.9)], id="too far away"),
    ],
)
def test_where_the_ends_disagree_all_is_left_to_the_detector(
    first: list[Detection], last: list[Detection]
) -> None:
    views = [picture(("red", 50, 60)) for _ in range(5)]
    assert interpolated(views, first, last) == [None] * 3


def test_a_weak_face_at_one_end_only_is_ignored() -> None:
    views = [picture(("red", 50, 60)) for _ in range(5)]
    inner = interpolated(views, [(50, 60, 0.9), (200, 60, 0.5)], [(50, 60, 0.9)])
    assert [len(faces) for faces in inner if faces is not None] == [1, 1, 1]


def test_two_faces_at_one_place_are_not_made_one() -> None:
    """A cut to somebody at the same place, on the same background: each end confirms half of the frames."""
    other = backdrop()
    rng = np.random.default_rng(3)
    other[60:120, 50:110] = cv2.resize(rng.integers(0, 255, (8, 8, 3)).astype(np.uint8), (60, 60))
    before, after = picture(("red", 50, 60)), view_of(other)
    views = [FrameView(0, 0.0, 0.04, view.grey, before.thumbnail) for view in (*[before] * 3, *[after] * 3)]
    inner = interpolated(views, [(50, 60, 0.9)], [(50, 60, 0.9)])
    assert [faces is None for faces in inner] == [False, True, True, False]


def test_neighbours_leave_nothing_between() -> None:
    assert interpolated([picture(), picture()], [], []) == []
