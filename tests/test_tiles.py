"""Searching in tiles loses no face at their seams, and happens only where small faces are asked for."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facereel.indexer.scan.tiles import MAX_TILE_SIDE, OVERLAP, TILES_BELOW, search_tiles, tiled_size, tiles
from facereel.store.model.config import Config
from facereel.store.model.records import Faces, Image
from tests.fake_engine import FakeEngine, backdrop, draw_face

SIZE = (1200, 1170)  # two tiles by two

sides = st.integers(1, 5000)


@given(width=sides, height=sides, place=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_every_square_of_the_overlap_lies_completely_in_a_tile(
    width: int, height: int, place: tuple[float, float]
) -> None:
    cut = tiles(width, height)
    assert all(0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height for x0, y0, x1, y1 in cut)
    assert all(max(x1 - x0, y1 - y0) <= MAX_TILE_SIDE for x0, y0, x1, y1 in cut)
    across, down = (min(OVERLAP, side) for side in (width, height))
    x, y = (int(share * room) for share, room in zip(place, (width - across, height - down), strict=True))
    assert any(x0 <= x and y0 <= y and x + across <= x1 and y + down <= y1 for x0, y0, x1, y1 in cut)


@pytest.mark.parametrize(
    ("size", "min_face", "expected"),
    [
        ((1920, 1080), 12, (1920, 1080)),
        ((1920, 1080), 16, (1440, 810)),
        ((1080, 1920), 12, (1080, 1920)),
        ((1920, 1080), TILES_BELOW, None),  # the default
        ((3840, 2160), 300, None),
        ((640, 360), 12, None),  # the usual picture is as large as the video
    ],
)
def test_only_smaller_faces_than_usual_need_tiles(
    size: tuple[int, int], min_face: int, expected: tuple[int, int] | None
) -> None:
    assert Config().min_face >= TILES_BELOW
    analysis_width = size[0] * Config(min_face=min_face).analysis_side(max(size)) // max(size)
    assert tiled_size(*size, min_face, analysis_width) == expected


def searched_in_tiles(picture: Image, size: tuple[int, int] = SIZE) -> Faces:
    def resized(width: int, height: int) -> Image:
        return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)

    return search_tiles(resized, FakeEngine().detect, size)


@pytest.mark.parametrize("side", [12, 90, 97, 500])
@pytest.mark.parametrize("place", ["corner", "seam", "crossing", "middle"])
def test_a_face_is_found_once_wherever_it_lies_and_whatever_its_size(side: int, place: str) -> None:
    x0, y0, *_ = tiles(*SIZE)[-1]  # where the last tile begins
    x, y = {
        "corner": (0, 0),
        "seam": (x0 - side // 2, 200),
        "crossing": (x0 - side // 2, y0 - side // 2),
        "middle": (300, 200),
    }[place]
    x, y = max(0, x), max(0, y)
    picture = backdrop(SIZE)
    draw_face(picture, "red", (x, y, side, side))
    [box] = searched_in_tiles(picture).boxes
    assert box == pytest.approx([x, y, x + side, y + side], abs=2)


def test_landmarks_move_with_their_face() -> None:
    picture = backdrop(SIZE)
    draw_face(picture, "red", (1100, 1100, 30, 30))
    faces = searched_in_tiles(picture)
    assert ((faces.landmarks[0] > faces.boxes[0, :2]) & (faces.landmarks[0] < faces.boxes[0, 2:])).all()


def test_no_face_is_found_in_an_empty_picture() -> None:
    assert len(searched_in_tiles(backdrop(SIZE))) == 0
