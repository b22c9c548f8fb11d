"""Patch matching: a face that is there is visible whatever the light, a face that is covered is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facereel.indexer.scan import patch_matching
from facereel.indexer.scan.frame_view import FrameView
from facereel.indexer.scan.patch_matching import MIN_BLOCK_SHARE, PATCH, take_patch
from facereel.store.model.records import Faces, Floats, Grey

SIZE = (240, 320)  # rows, columns
FACES = [(100, 60, 64, 80), (40, 90, 40, 50), (150, 20, 120, 150)]  # x y w h


def texture(seed: int, shape: tuple[int, int], grain: float, contrast: float) -> NDArray[np.float32]:
    noise = np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), grain)
    return np.asarray(contrast * smooth / smooth.std(), np.float32)


def face(width: int, height: int, seed: int = 0) -> NDArray[np.float32]:
    """A face (height, width) as levels of grey: an oval in a light of its own, eyes, brows, nose, mouth."""
    picture = np.full((200, 160), 170, np.float32)
    picture += np.linspace(-25, 15, 160)[None]
    for x in (50, 110):
        cv2.ellipse(picture, (x, 82), (16, 8), 0, 0, 360, 60, -1)
        cv2.line(picture, (x - 20, 62), (x + 20, 58), 70, 6)
    cv2.ellipse(picture, (80, 120), (10, 18), 0, 0, 360, 140, -1)
    cv2.ellipse(picture, (80, 155), (28, 8), 0, 0, 360, 80, -1)
    picture[:34] = 50
    picture += texture(seed, (200, 160), 6, 8)
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.float32)


def scene(box: tuple[int, int, int, int], seed: int = 0) -> NDArray[np.float32]:
    """A face before a wall with soft spots."""
    x, y, w, h = box
    picture = 120 + texture(100 + seed, SIZE, 12, 20)
    patch = face(w, h, seed)
    right, bottom = min(x + w, SIZE[1]), min(y + h, SIZE[0])
    picture[y:bottom, x:right] = patch[: bottom - y, : right - x]
    return picture


def grey(picture: NDArray[np.floating]) -> Grey:
    return np.asarray(np.clip(picture, 0, 255), np.uint8)


def floats(box: tuple[float, float, float, float]) -> Floats:
    return np.array(box, np.float32)


@pytest.fixture(params=FACES, ids=lambda box: f"{box[2]}px")
def box(request: pytest.FixtureRequest) -> tuple[int, int, int, int]:
    chosen: tuple[int, int, int, int] = request.param
    return chosen


NOISE = texture(55, SIZE, 0.6, 8)

CHANGES: dict[str, Callable[[NDArray[np.float32]], Any]] = {
    "the same": lambda picture: picture,
    "darker": lambda picture: picture * 0.45,
    "brighter": lambda picture: picture * 1.15 + 25,
    "light from one side": lambda picture: picture * np.linspace(0.6, 1.2, SIZE[1])[None],
    "noisier": lambda picture: picture + NOISE,
    "out of focus": lambda picture: cv2.GaussianBlur(picture, (0, 0), 1.5),
    "moved to the right": lambda picture: np.roll(picture, 3, axis=1),
    "moved down": lambda picture: np.roll(picture, 4, axis=0),
    "coarsely coded": lambda picture: np.round(picture / 12) * 12,
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_face_that_is_there_is_visible(box: tuple[int, int, int, int], change: str) -> None:
    picture = scene(box)
    patch = take_patch(grey(picture), floats(box))
    patch_match = patch_matching.match_patch(patch, grey(CHANGES[change](picture)), floats(box))
    assert patch_match.visible, patch_match


COVERS: dict[str, Callable[[int, int], Any]] = {
    "plain": lambda h, w: np.full((h, w), 150.0),
    "black": lambda h, w: np.zeros((h, w)),
    "skin in a slope of light": lambda h, w: np.add.outer(np.linspace(-8, 8, h), np.linspace(120, 175, w)),
    "skin with grain": lambda h, w: 160 + texture(8, (h, w), 1, 3),
    "cloth": lambda h, w: 110 + texture(9, (h, w), 3, 35),
    "coarse pattern": lambda h, w: 110 + texture(10, (h, w), 10, 45),
    "stripes": lambda h, w: np.repeat((110 + 60 * np.sign(np.sin(np.arange(w) / 4)))[None], h, axis=0),
    "noise": lambda h, w: 120 + texture(11, (h, w), 0.6, 40),
}  # fmt: skip


@pytest.mark.parametrize("cover", COVERS)
def test_a_face_that_is_covered_is_not_visible(box: tuple[int, int, int, int], cover: str) -> None:
    picture = scene(box)
    patch = take_patch(grey(picture), floats(box))
    x, y, w, h = box
    top, left = max(0, y - h // 3), max(0, x - w // 3)
    part = picture[top : y + h + h // 3, left : x + w + w // 3]
    part[...] = COVERS[cover](*part.shape)
    patch_match = patch_matching.match_patch(patch, grey(picture), floats(box))
    assert not patch_match.visible, patch_match
    assert 0.0 <= patch_match.block_share <= 1.0
    assert -1.0 <= patch_match.ncc <= 1.0


def test_the_wall_behind_a_face_is_not_the_face(box: tuple[int, int, int, int]) -> None:
    patch = take_patch(grey(scene(box)), floats(box))
    for seed in range(200, 212):
        wall = grey(120 + texture(seed, SIZE, 12, 20))
        assert not patch_matching.match_patch(patch, wall, floats(box)).visible


@pytest.mark.parametrize("moved", [0, 3])
def test_blocks_are_compared_only_where_the_ncc_is_not_sufficient(moved: int) -> None:
    box, picture = FACES[0], scene(FACES[0])
    patch = take_patch(grey(picture), floats(box))
    picture[:, : box[0] + box[2] // 2] = 150
    covered = grey(np.roll(picture, moved, axis=1))
    match = patch_matching.match_patch(patch, covered, floats(box))
    quick = patch_matching.match_patch(patch, covered, floats(box), sufficient_ncc=match.ncc)
    assert MIN_BLOCK_SHARE <= match.block_share < 1
    assert (quick.block_share, quick.ncc) == (1, match.ncc)


@pytest.mark.parametrize(
    "change",
    [
        *CHANGES.values(),
        *[lambda picture, cover=cover: cover(*picture.shape) for cover in COVERS.values()],
        lambda picture: np.where(np.arange(SIZE[0])[:, None] < 100, picture, 150),
    ],
)
def test_a_view_shows_a_face_where_a_search_around_the_box_finds_it(
    box: tuple[int, int, int, int], change: Callable[[NDArray[np.float32]], Any]
) -> None:
    picture = scene(box)
    patch, changed = take_patch(grey(picture), floats(box)), grey(change(picture))
    view = FrameView(0, 0.0, 0.04, changed, np.zeros((1, 1, 3), np.uint8))
    view.set_faces(
        Faces(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32))
    )
    expected = patch_matching.match_patch(patch, changed, floats(box)).visible
    assert view.shows(patch, box) == expected
    assert view.match_patch(patch, box).visible == expected


@pytest.mark.parametrize("side", ["left", "bottom"])
def test_a_face_half_covered_is_visible(box: tuple[int, int, int, int], side: str) -> None:
    picture = scene(box)
    patch = take_patch(grey(picture), floats(box))
    x, y, w, h = box
    if side == "left":
        picture[:, : x + w // 2] = 150
    else:
        picture[y + h // 2 :] = 150
    assert patch_matching.match_patch(patch, grey(picture), floats(box)).visible


@pytest.mark.parametrize(("right", "down"), [(6, 0), (-6, 0), (0, 8), (0, -8), (4, 5), (-8, -6), (0, 0)])
def test_the_shift_leads_to_where_the_face_is(right: int, down: int) -> None:
    place = (100, 60, 64, 80)
    picture = scene(place)
    patch = take_patch(grey(picture), floats(place))
    patch_match = patch_matching.match_patch(
        patch, grey(np.roll(picture, (down, right), axis=(0, 1))), floats(place)
    )
    assert patch_match.visible
    assert patch_match.shift == pytest.approx((right / 64, down / 80), abs=0.035)


def test_a_patch_of_its_own_size_is_the_picture_itself() -> None:
    picture = grey(120 + texture(1, SIZE, 3, 40))
    patch = take_patch(picture, floats((50, 30, PATCH, PATCH)))
    pixels = picture[30 : 30 + PATCH, 50 : 50 + PATCH]
    np.testing.assert_array_equal(patch.grey, pixels)
    assert patch.deviation == pytest.approx(pixels.std())
    assert (patch.row.mean(), patch.row @ patch.row) == pytest.approx((0, 1), abs=1e-5)


@pytest.mark.parametrize("factor", [2, 3])
def test_a_patch_does_not_depend_on_the_size_of_the_picture(factor: int) -> None:
    small = grey(120 + texture(1, SIZE, 6, 40))
    large = np.repeat(np.repeat(small, factor, axis=0), factor, axis=1)
    place = floats((60, 50, 48, 60))
    here, there = take_patch(small, place), take_patch(large, place * factor)
    assert np.abs(here.grey.astype(int) - there.grey).mean() < 3


def test_a_large_face_is_averaged_and_not_sampled() -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), 200)[None].repeat(400, axis=0)
    patch = take_patch(np.ascontiguousarray(stripes), floats((40, 40, 256, 256)))
    assert patch.deviation < 40
    assert patch.grey.mean() == pytest.approx(127.5, abs=10)


@pytest.mark.parametrize(
    "place", [(-9, -9, 40, 40), (300, 220, 40, 40), (-99, 9, 40, 40), (400, 50, 99, 300)]
)
def test_outside_the_picture_the_edge_is_repeated(place: tuple[float, float, float, float]) -> None:
    picture = np.full(SIZE, 77, np.uint8)
    np.testing.assert_array_equal(take_patch(picture, floats(place)).grey, np.full((PATCH, PATCH), 77))
