"""Which part of a picture is searched for one face, and what of its answer counts."""

from __future__ import annotations

import numpy as np
import pytest

from facereel.indexer.scan.regions import REGION_PIXELS, complete_faces, region_around
from facereel.store.model.records import Faces
from tests.fake_engine import FakeEngine, backdrop, draw_face


@pytest.mark.parametrize("side", [12, 40, 90, 200])
@pytest.mark.parametrize("corner", [(0, 0), (200, 100), (560, 270)])
def test_a_face_is_found_where_it_is_in_a_region_of_one_size(side: int, corner: tuple[int, int]) -> None:
    picture = backdrop((640, 360))
    draw_face(picture, "red", (*corner, side, side))
    moved = np.array([0.2, -0.3, 0.2, -0.3], np.float32) * side
    box = np.array([*corner, corner[0] + side, corner[1] + side], np.float32)
    region = region_around(box + moved, 640, 360)
    part = region.cut(picture)
    assert part.shape[0] * part.shape[1] <= REGION_PIXELS
    faces = complete_faces(FakeEngine().detect(part), region, picture)
    inside = np.minimum(box, np.array([640, 360] * 2, np.float32))
    assert faces.boxes[0] == pytest.approx(inside, abs=1.5 + 0.04 * side)


def test_what_an_edge_of_the_region_cuts_off_does_not_count_unless_it_is_one_of_the_picture() -> None:
    picture = backdrop((640, 360))
    region = region_around(np.array([0, 100, 40, 140], np.float32), 640, 360)
    boxes = np.array([[0, 60, 30, 90], [100, 60, 128, 90], [40, 40, 70, 70]], np.float32)
    found = Faces(boxes, np.full(3, 0.9, np.float32), np.zeros((3, 5, 2), np.float32))
    counted = complete_faces(found, region, picture)
    assert counted.boxes.tolist() == (boxes[[0, 2]] + [region.x, region.y] * 2).tolist()
