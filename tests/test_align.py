"""Geometry and quality of faces: landmarks onto the template, and what a look is worth."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from facereel.indexer.engines.alignment import TEMPLATE, align, frontality, similarity_transform
from facereel.indexer.identity.quality import crop_quality, sharpness, size_quality
from facereel.store.index.crops import ALIGNED_SIZE
from facereel.store.model.records import Floats, Image

ANGLES = st.floats(-180, 180)
SCALES = st.floats(0.05, 20)
SHIFTS = st.floats(-2000, 2000)


def transform(angle: float, scale: float, dx: float, dy: float) -> NDArray[np.float64]:
    """Rotation by degrees, scale and shift as (2, 3)."""
    c, s = scale * np.cos(np.radians(angle)), scale * np.sin(np.radians(angle))
    return np.array([[c, -s, dx], [s, c, dy]])


def moved(points: NDArray[np.floating], matrix: NDArray[np.floating]) -> Floats:
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2], np.float32)


@given(ANGLES, SCALES, SHIFTS, SHIFTS)
def test_recovers_a_known_transform(angle: float, scale: float, dx: float, dy: float) -> None:
    matrix = transform(angle, scale, dx, dy)
    found = similarity_transform(TEMPLATE, (TEMPLATE @ matrix[:, :2].T + matrix[:, 2]))
    np.testing.assert_allclose(found, matrix, atol=1e-4 * max(1.0, scale, abs(dx), abs(dy)))


@given(st.integers(0, 10_000))
def test_never_mirrors_and_is_the_best_there_is(seed: int) -> None:
    rng = np.random.default_rng(seed)
    source, target = rng.normal(0, 50, (2, 5, 2))
    matrix = similarity_transform(source, target)
    assert np.linalg.det(matrix[:, :2].astype(np.float64)) >= 0
    a, b = matrix[0, 0], matrix[1, 0]
    np.testing.assert_allclose(matrix[:, :2], [[a, -b], [b, a]], atol=1e-4)

    def error(m: NDArray[np.floating]) -> float:
        return float(((moved(source, m) - target) ** 2).sum())

    least = error(matrix)
    for _ in range(5):
        other = matrix + np.array([[0, 0, rng.normal()], [0, 0, rng.normal()]])
        turned = transform(float(rng.normal(0, 3)), float(np.exp(rng.normal(0, 0.05))), 0, 0)
        other[:, :2] = turned[:, :2] @ other[:, :2]
        assert least <= error(other) * (1 + 1e-3) + 1e-3


def test_points_that_all_coincide_do_no_harm() -> None:
    matrix = similarity_transform(np.full((5, 2), 7.0), TEMPLATE)
    assert np.isfinite(matrix).all()


@pytest.mark.parametrize("angle", [0, 30, -45, 90, 180])
@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0, 7.5])
def test_landmarks_land_on_the_template(angle: float, scale: float) -> None:
    middle = 112 * scale
    matrix = transform(angle, scale, 0, 0)
    landmarks = moved(TEMPLATE - 56, matrix) + middle
    for number, (x, y) in enumerate(landmarks):
        picture = np.zeros((round(2 * middle), round(2 * middle), 3), np.uint8)
        centre = (round(16 * x), round(16 * y))
        cv2.circle(picture, centre, round(16 * 5 * scale), (255, 255, 255), -1, shift=4)
        crop = align(picture, landmarks)
        assert crop.shape == (ALIGNED_SIZE, ALIGNED_SIZE, 3)
        assert crop.dtype == np.uint8
        rows, columns = np.nonzero(crop[..., 0] > 127)
        coarse = max(1.0, 0.5 / scale)  # a dot of a small picture is a few pixels
        assert (columns.mean(), rows.mean()) == pytest.approx(tuple(TEMPLATE[number]), abs=coarse)


def test_a_large_face_is_averaged_and_not_sampled() -> None:
    stripes = np.tile(np.array([0, 0, 255, 255], np.uint8), 300)
    picture = np.repeat(np.repeat(stripes[None, :, None], 1200, axis=0), 3, axis=2)
    crop = align(np.ascontiguousarray(picture), (TEMPLATE * 9 + 90).astype(np.float32))
    # Stripes far finer than a pixel of the crop are grey there; sampled, they would be black and white.
    assert crop[30:80, 30:80].std() < 20
    assert crop[30:80, 30:80].mean() == pytest.approx(127.5, abs=8)


def test_a_face_over_the_edge_of_the_picture_is_still_cut() -> None:
    picture = np.full((100, 100, 3), 200, np.uint8)
    crop = align(picture, (TEMPLATE - 60).astype(np.float32))
    assert crop.shape == (112, 112, 3)
    assert crop[:56, :56].max() == 0
    assert (crop[64:, 64:] == 200).all()


def turned_head(aside: float) -> Floats:
    """Landmarks of a face turned aside by a share of a quarter turn: the nose wanders, the eyes close up."""
    points = TEMPLATE.copy()
    points[:, 0] = 56 + (points[:, 0] - 56) * np.cos(aside * np.pi / 2)
    points[2, 0] += 25 * np.sin(aside * np.pi / 2)
    return points.astype(np.float32)


def test_frontality_falls_as_the_head_turns() -> None:
    values = [frontality(turned_head(aside)) for aside in (0, 0.2, 0.4, 0.6, 0.8)]
    assert values[0] > 0.9
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.1
    assert [frontality(turned_head(-aside)) for aside in (0.2, 0.4)] == pytest.approx(values[1:3], abs=0.05)


@given(ANGLES, SCALES, SHIFTS, SHIFTS, st.floats(-0.8, 0.8))
def test_frontality_is_in_the_face_s_own_axes(
    angle: float, scale: float, dx: float, dy: float, aside: float
) -> None:
    points = turned_head(aside)
    here = moved(points.astype(np.float64), transform(angle, scale, 0, 0)) + np.array([dx, dy], np.float32)
    assert frontality(here) == pytest.approx(frontality(points), abs=0.02 + 0.01 / scale)


@pytest.mark.parametrize("points", [np.zeros((5, 2)), np.repeat([[3.0, 4.0]], 5, axis=0)])
def test_frontality_of_no_face_at_all_is_none(points: NDArray[np.float64]) -> None:
    assert frontality(points.astype(np.float32)) == 0.0


def texture(seed: int = 0, blur: float = 1.5) -> Image:
    noise = np.random.default_rng(seed).normal(0, 1, (112, 112)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), blur)
    grey = np.clip(128 + 50 * smooth / smooth.std(), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def test_sharpness_falls_with_blur_and_not_with_light() -> None:
    crop = texture()
    smeared = [np.asarray(cv2.GaussianBlur(crop, (0, 0), sigma), np.uint8) for sigma in (1, 2, 4, 8)]
    values = [sharpness(crop), *map(sharpness, smeared)]
    assert values == sorted(values, reverse=True)
    assert values[0] > 3 * values[3]
    dark = (crop * 0.5).astype(np.uint8)
    assert sharpness(dark) == pytest.approx(sharpness(crop), rel=0.1)


def test_noise_is_not_sharpness() -> None:
    blurred = np.asarray(cv2.GaussianBlur(texture(), (0, 0), 6), np.uint8)
    noisy = blurred + np.random.default_rng(3).normal(0, 3, blurred.shape)
    assert sharpness(np.clip(noisy, 0, 255).astype(np.uint8)) < 0.6 * sharpness(texture())
    assert sharpness(np.full((112, 112, 3), 90, np.uint8)) == 0.0


SHARES = st.floats(0, 1)


@given(st.floats(0, 4000), SHARES, SHARES, SHARES, st.sampled_from(range(4)))
def test_a_better_look_is_never_worth_less(
    width: float, sharp: float, frontal: float, score: float, which: int
) -> None:
    worth = crop_quality(width, sharp, frontal, score)
    assert 0.0 <= worth <= 1.0
    better = [width, sharp, frontal, score]
    better[which] = better[which] + 20 if which == 0 else min(1.0, better[which] + 0.1)
    assert crop_quality(*better) >= worth


def test_size_counts_between_hardly_a_face_and_enough_of_one() -> None:
    assert size_quality(8) == 0.0
    assert 0.0 < size_quality(30) < size_quality(60) < 1.0
    assert size_quality(200) == 1.0
