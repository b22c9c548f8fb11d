"""Regions hold the face that is expected in them, lie on the detector's grid, and what of their answer counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facereel.indexer.scan.regions import REGION_PIXELS, complete_faces, region_around
from facereel.store.model.records import Faces
from tests.fake_engine import FakeEngine, backdrop, draw_face


@given(st.integers(100, 700), st.integers(100, 700), st.floats(0, 1), st.floats(0, 1), st.floats(8, 90))
def test_a_region_lies_in_the_picture_on_the_grid_and_holds_the_face(
    width: int, height: int, right: float, down: float, side: float
) -> None:
    x, y = right * (width - side), down * (height - side)
    region = region_around(np.array([x, y, x + side, y + side], np.float32), width, height)
    assert region.x % 16 == region.y % 16 == 0
    assert 0 <= region.x < region.x + region.width <= width
    assert 0 <= region.y < region.y + region.height <= height
    # At least a third of its side remains around it, but for the picture's edge.
    room = side / 3
    assert region.x <= max(0, x - room)
    assert region.y <= max(0, y - room)
    assert region.x + region.width >= min(width, x + side + room)
    assert region.y + region.height >= min(height, y + side + room)


@pytest.mark.parametrize("side", [12, 40, 90, 200])
@pytest.mark.parametrize("corner", [(0, 0), (200, 100), (560, 270)])
def test_a_face_is_found_where_it_is_in_a_region_of_one_size(side: int, corner: tuple[int, int]) -> None:
    picture = backdrop((640, 360))
    draw_face(picture, "red", (*corner, side, side))
    moved = np.array([0.2, -0.3, 0.2, -0.3], np.float32) * side
    box = np.array([*corner, corner[0] + side, corner[1] + side], np.float32)
    region = region_around(box + moved, 640, 360)
    x0, y0, x1, y1 = region.corners
    part = region.searched(picture[y0:y1, x0:x1])
    assert part.shape[0] * part.shape[1] <= REGION_PIXELS
    faces = complete_faces(FakeEngine().detect(part), region, 640, 360)
    inside = np.minimum(box, np.array([640, 360] * 2, np.float32))
    assert faces.boxes[0] == pytest.approx(inside, abs=1.5 + 0.04 * side)


def test_what_an_edge_of_the_region_cuts_off_does_not_count_unless_it_is_one_of_the_picture() -> None:
    region = region_around(np.array([0, 100, 40, 140], np.float32), 640, 360)
    boxes = np.array([[0, 60, 30, 90], [100, 60, 128, 90], [40, 40, 70, 70]], np.float32)
    found = Faces(boxes, np.full(3, 0.9, np.float32), np.zeros((3, 5, 2), np.float32))
    counted = complete_faces(found, region, 640, 360)
    assert counted.boxes.tolist() == (boxes[[0, 2]] + [region.x, region.y] * 2).tolist()
