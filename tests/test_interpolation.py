"""What may be said of frames between two that were searched, and what must be left to the detector."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from facereel.indexer.scan.interpolation import Picture, interpolate
from facereel.store.model.records import Faces, Image
from tests.fake_engine import backdrop, draw_face

WEAK, STRONG = 0.25, 0.6


def picture(*faces: tuple[str, float, float]) -> Picture:
    """People of 60 px at x, y on one background."""
    colours = backdrop()
    for person, x, y in faces:
        draw_face(colours, person, (x, y, 60, 60))
    return pictured(colours)


def pictured(colours: Image) -> Picture:
    grey = np.asarray(cv2.cvtColor(colours, cv2.COLOR_BGR2GRAY), np.uint8)
    return Picture(grey, np.asarray(cv2.resize(colours, (128, 72)), np.uint8))


def found(*faces: tuple[float, float, float]) -> Faces:
    """Faces at x, y with a score."""
    boxes = np.array([(x, y, x + 60, y + 60) for x, y, _ in faces], np.float32).reshape(-1, 4)
    landmarks = boxes[:, None, :2] + np.linspace(10, 50, 10, dtype=np.float32).reshape(5, 2)
    return Faces(boxes, np.array([score for *_, score in faces], np.float32), landmarks)


def test_a_face_that_moves_steadily_is_where_it_must_be() -> None:
    pictures = [picture(("red", 50 + 4 * step, 60)) for step in range(6)]
    said = interpolate(found((50, 60, 0.9)), found((70, 60, 0.8)), pictures, WEAK, STRONG)
    for step, faces in enumerate(said, start=1):
        assert faces is not None
        assert faces.boxes[0] == pytest.approx([50 + 4 * step, 60, 110 + 4 * step, 120], abs=0.5)
        assert faces.landmarks[0, 0] == pytest.approx([60 + 4 * step, 60 + 130 / 9], abs=0.5)
        assert faces.scores[0] == pytest.approx(0.9 - 0.02 * step, abs=0.001)


def test_a_face_beside_its_way_is_found_there() -> None:
    places = [50, 50, 50, 58, 66, 70]
    pictures = [picture(("red", x, 60)) for x in places]
    said = interpolate(found((50, 60, 0.9)), found((70, 60, 0.9)), pictures, WEAK, STRONG)
    for x, faces in zip(places[1:-1], said, strict=True):
        assert faces is not None
        assert faces.boxes[0, 0] == pytest.approx(x, abs=2.5)


def test_only_the_covered_frame_is_doubtful() -> None:
    pictures = [picture(("red", 50, 60)) for _ in range(6)]
    covered = backdrop()
    covered[40:140, 30:130] = 128
    pictures[3] = Picture(pictured(covered).grey, pictures[3].thumbnail)
    said = interpolate(found((50, 60, 0.9)), found((50, 60, 0.9)), pictures, WEAK, STRONG)
    assert [faces is None for faces in said] == [False, True, True, True]  # and those beside it


@pytest.mark.parametrize(
    ("first", "last"),
    [
        pytest.param([(50, 60, 0.9)], [], id="gone"),
        pytest.param([(50, 60, 0.9)], [(50, 60, 0.9), (200, 60, 0.9)], id="one more"),
        pytest.param([(50, 60, 0.9)], [(200, 60, 0.9)], id="too far away"),
    ],
)
def test_where_the_ends_disagree_all_is_doubtful(
    first: list[tuple[float, float, float]], last: list[tuple[float, float, float]]
) -> None:
    pictures = [picture(("red", 50, 60)) for _ in range(5)]
    assert interpolate(found(*first), found(*last), pictures, WEAK, STRONG) == [None] * 3


def test_a_weak_face_without_a_fellow_does_not_count() -> None:
    pictures = [picture(("red", 50, 60)) for _ in range(5)]
    said = interpolate(found((50, 60, 0.9), (200, 60, 0.5)), found((50, 60, 0.9)), pictures, WEAK, STRONG)
    assert [len(faces) for faces in said if faces is not None] == [1, 1, 1]


def test_two_faces_at_one_place_are_not_made_one() -> None:
    """A cut to somebody at the same place, on the same background: each end knows half of the frames."""
    other = backdrop()
    rng = np.random.default_rng(3)
    other[60:120, 50:110] = cv2.resize(rng.integers(0, 255, (8, 8, 3)).astype(np.uint8), (60, 60))
    mine, theirs = picture(("red", 50, 60)), pictured(other)
    pictures = [mine, mine, mine, theirs, theirs, theirs]
    pictures = [Picture(item.grey, mine.thumbnail) for item in pictures]
    said = interpolate(found((50, 60, 0.9)), found((50, 60, 0.9)), pictures, WEAK, STRONG)
    assert [faces is None for faces in said] == [False, True, True, False]


def test_neighbours_leave_nothing_between() -> None:
    assert interpolate(found(), found(), [picture(), picture()], WEAK, STRONG) == []
