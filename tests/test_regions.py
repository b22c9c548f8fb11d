"""Regions hold the face that is expected in them, and lie on the detector's grid."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from facereel.indexer.scan.regions import region_around


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
